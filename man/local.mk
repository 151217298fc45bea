# SPDX-License-Identifier: LGPL-2.1-or-later
# Manual pages; what the programs know better is printed into them.

man_pages = man/mtlsctl.1 man/mtlsd.yaml.5 man/mtlsd-plugin.3 man/mtlsd.8
nodist_man_MANS = $(man_pages)
man_print = $(AM_V_GEN)$(PYTHON) $(srcdir)/man/print $(srcdir)/$@.in $(PACKAGE_VERSION)

man/daemon.json: mtlsd$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) man && ./mtlsd --print-commands >$@.new && mv $@.new $@
man/local.json: mtlsctl$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) man && ./mtlsctl --print-commands >$@.new && mv $@.new $@
man/reference.txt: mtlsd$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) man && ./mtlsd --print-config-reference >$@.new && mv $@.new $@

man/mtlsctl.1: man/daemon.json man/local.json $(srcdir)/man/mtlsctl.1.in $(srcdir)/man/print
	$(man_print) daemon=man/daemon.json local=man/local.json >$@.new && mv $@.new $@
man/mtlsd.yaml.5: man/reference.txt $(srcdir)/man/mtlsd.yaml.5.in $(srcdir)/man/print
	$(man_print) reference=man/reference.txt >$@.new && mv $@.new $@
man/mtlsd-plugin.3: $(srcdir)/plugins/include/mtlsd/plugin.h $(srcdir)/man/mtlsd-plugin.3.in $(srcdir)/man/print
	$(AM_V_at)$(MKDIR_P) man
	$(man_print) header=$(srcdir)/plugins/include/mtlsd/plugin.h >$@.new && mv $@.new $@
man/mtlsd.8: $(srcdir)/etc/mtlsd.catalog $(srcdir)/man/mtlsd.8.in $(srcdir)/man/print
	$(AM_V_at)$(MKDIR_P) man
	$(man_print) catalog=$(srcdir)/etc/mtlsd.catalog >$@.new && mv $@.new $@

CLEANFILES += $(man_pages) man/daemon.json man/local.json man/reference.txt
EXTRA_DIST += man/print man/mtlsctl.1.in man/mtlsd.yaml.5.in man/mtlsd-plugin.3.in man/mtlsd.8.in
