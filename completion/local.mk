# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion for shells, printed from the tables of commands (man/local.mk makes their files).

bashcompletiondir = $(datadir)/bash-completion/completions
zshcompletiondir = $(datadir)/zsh/vendor-completions
fishcompletiondir = $(datadir)/fish/vendor_completions.d
bashcompletion_DATA = completion/mtlsctl
zshcompletion_DATA = completion/_mtlsctl
fishcompletion_DATA = completion/mtlsctl.fish
completion_print = $(AM_V_GEN)$(MKDIR_P) completion && $(PYTHON) $(srcdir)/completion/print
completion_facts = man/daemon.json man/local.json

completion/mtlsctl: $(completion_facts) $(srcdir)/completion/print
	$(completion_print) bash $(completion_facts) >$@.new && mv $@.new $@
completion/_mtlsctl: $(completion_facts) $(srcdir)/completion/print
	$(completion_print) zsh $(completion_facts) >$@.new && mv $@.new $@
completion/mtlsctl.fish: $(completion_facts) $(srcdir)/completion/print
	$(completion_print) fish $(completion_facts) >$@.new && mv $@.new $@

CLEANFILES += completion/mtlsctl completion/_mtlsctl completion/mtlsctl.fish
EXTRA_DIST += completion/print
