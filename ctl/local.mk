# SPDX-License-Identifier: LGPL-2.1-or-later
bin_PROGRAMS += mtlsctl
mtlsctl_SOURCES = ctl/mtlsctl.c ctl/client.c ctl/client.h ctl/render.c ctl/render.h ctl/local.c ctl/local.h \
	daemon/wire.c daemon/wire.h daemon/error.c daemon/error.h daemon/cleanup.h
mtlsctl_LDADD = $(JANSSON_LIBS) $(SYSTEMD_LIBS)
mtlsctl_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/ctl
