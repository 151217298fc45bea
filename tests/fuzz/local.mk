# SPDX-License-Identifier: LGPL-2.1-or-later
# One fuzz target a parser. `./dev test` replays the seeds through them, `./dev fuzz` builds them with libFuzzer
# (replay.c then stands aside). Adding one: its row here, fuzz-NAME.c, and a folder seeds/NAME.
fuzz_targets = \
	tests/fuzz/fuzz-config tests/fuzz/fuzz-glob tests/fuzz/fuzz-identity \
	tests/fuzz/fuzz-gate \
	tests/fuzz/fuzz-wire tests/fuzz/fuzz-commands tests/fuzz/fuzz-record \
	tests/fuzz/fuzz-heap tests/fuzz/fuzz-hello tests/fuzz/fuzz-ticket
EXTRA_PROGRAMS = $(fuzz_targets)
CLEANFILES += $(fuzz_targets)
EXTRA_DIST += tests/fuzz/seeds

tests_fuzz_fuzz_config_SOURCES = tests/fuzz/fuzz-config.c tests/fuzz/replay.c \
	$(mtlsd_config) daemon/name.c $(mtlsd_schema) daemon/yaml.c daemon/error.c daemon/router.c daemon/access.c daemon/glob.c
tests_fuzz_fuzz_config_LDADD = $(YAML_LIBS)
tests_fuzz_fuzz_glob_SOURCES = tests/fuzz/fuzz-glob.c tests/fuzz/replay.c daemon/glob.c
tests_fuzz_fuzz_identity_SOURCES = tests/fuzz/fuzz-identity.c tests/fuzz/replay.c $(test_identity_fixture) $(mtlsd_identity) daemon/name.c daemon/error.c
tests_fuzz_fuzz_identity_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit
tests_fuzz_fuzz_identity_LDADD = $(GNUTLS_LIBS)
tests_fuzz_fuzz_gate_SOURCES = tests/fuzz/fuzz-gate.c tests/fuzz/replay.c $(mtlsd_gate)
tests_fuzz_fuzz_wire_SOURCES = tests/fuzz/fuzz-wire.c tests/fuzz/replay.c daemon/wire.c daemon/error.c
tests_fuzz_fuzz_wire_LDADD = $(JANSSON_LIBS)
tests_fuzz_fuzz_commands_SOURCES = tests/fuzz/fuzz-commands.c tests/fuzz/replay.c $(test_commands)
tests_fuzz_fuzz_commands_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/unit
tests_fuzz_fuzz_commands_LDADD = $(JANSSON_LIBS) $(SYSTEMD_LIBS) $(ZLIB_LIBS) $(GNUTLS_LIBS) $(YAML_LIBS) -lpthread -lm
tests_fuzz_fuzz_hello_SOURCES = tests/fuzz/fuzz-hello.c tests/fuzz/replay.c daemon/hello.c
tests_fuzz_fuzz_ticket_SOURCES = tests/fuzz/fuzz-ticket.c tests/fuzz/replay.c daemon/ticket.c daemon/secret.c daemon/error.c
tests_fuzz_fuzz_ticket_LDADD = $(GNUTLS_LIBS)
tests_fuzz_fuzz_heap_SOURCES = tests/fuzz/fuzz-heap.c tests/fuzz/replay.c $(mtlsd_heap)
tests_fuzz_fuzz_heap_CPPFLAGS = $(AM_CPPFLAGS) -DHEAP_PREFIXED
tests_fuzz_fuzz_heap_LDADD = $(DW_LIBS) -lpthread
tests_fuzz_fuzz_record_SOURCES = tests/fuzz/fuzz-record.c tests/fuzz/replay.c $(mtlsd_judge) daemon/units.c \
	daemon/error.c
tests_fuzz_fuzz_record_LDADD = -lm
