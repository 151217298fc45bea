# SPDX-License-Identifier: LGPL-2.1-or-later
include $(srcdir)/tests/plugins/local.mk
include $(srcdir)/tests/unit/local.mk
include $(srcdir)/tests/fuzz/local.mk
include $(srcdir)/tests/leaks/local.mk
include $(srcdir)/tests/faults/local.mk

EXTRA_DIST += tests/systemd tests/lint tests/memcheck tests/memcheck.supp tests/cppcheck.suppressions tests/demo tests/e2e tests/bench/keepalive.c tests/bench/mtls-client.c tests/bench/peers.py tests/bench/edge tests/bench/supervision tests/bench/stalled tests/bench/dump tests/bench/chains tests/bench/verdicts
