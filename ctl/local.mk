# SPDX-License-Identifier: LGPL-2.1-or-later
bin_PROGRAMS += mtlsctl
mtlsctl_SOURCES = ctl/mtlsctl.c ctl/arguments.c ctl/arguments.h ctl/client.c ctl/client.h ctl/local.c ctl/local.h \
	ctl/memory.c ctl/memory.h ctl/output.c ctl/output.h ctl/pki.c ctl/pki.h \
	ctl/render.c ctl/render.h ctl/replay.c ctl/replay.h ctl/screen.c ctl/screen.h ctl/top.c ctl/top.h ctl/top-internal.h \
	ctl/top-draw.c ctl/top-command.c ctl/top-command.h ctl/usage.c ctl/usage.h \
	daemon/command.c daemon/command.h daemon/wire.c daemon/wire.h daemon/schema-nearest.c daemon/schema-value.c \
	daemon/schema-value.h daemon/schema.h daemon/units.c daemon/units.h daemon/error.c daemon/error.h daemon/cleanup.h \
	daemon/monotonic.h daemon/explain.c daemon/explain.h $(mtlsd_judge)
mtlsctl_LDADD = $(JANSSON_LIBS) $(GNUTLS_LIBS) -lm
mtlsctl_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/ctl
