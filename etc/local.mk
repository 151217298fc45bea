# SPDX-License-Identifier: LGPL-2.1-or-later
# What systemd reads: units, the user, the folder of sockets; and drop-ins to copy.

systemdunit_DATA = etc/mtlsd.service etc/mtlsd.socket etc/mtlsd-control.socket
sysusers_DATA = etc/mtlsd.conf
tmpfiles_DATA = etc/tmpfiles/mtlsd.conf
catalogdir = $(prefix)/lib/systemd/catalog
dist_catalog_DATA = etc/mtlsd.catalog
dropinsdir = $(docdir)/examples/drop-ins
dist_dropins_DATA = etc/drop-ins/credentials.conf etc/drop-ins/dynamic-user.conf etc/drop-ins/no-capability.conf

etc/mtlsd.service: etc/mtlsd.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) etc && $(SED) -e 's|@service_type[@]|$(service_type)|' -e 's|@sbindir[@]|$(sbindir)|' \
		-e 's|@bindir[@]|$(bindir)|' -e 's|@sysconfdir[@]|$(sysconfdir)|' \
		$(if $(filter notify-reload,$(service_type)),-e '/^ExecReload=/d') \
		$(srcdir)/etc/mtlsd.service.in >$@.new && mv $@.new $@
# Both kinds of file are called after the package where they are installed.
etc/mtlsd.conf: etc/mtlsd.sysusers
	$(AM_V_GEN)$(MKDIR_P) etc && cp $(srcdir)/etc/mtlsd.sysusers $@
etc/tmpfiles/mtlsd.conf: etc/mtlsd.tmpfiles
	$(AM_V_GEN)$(MKDIR_P) etc/tmpfiles && cp $(srcdir)/etc/mtlsd.tmpfiles $@
EXTRA_DIST += etc/mtlsd.service.in etc/mtlsd.socket etc/mtlsd-control.socket etc/mtlsd.sysusers etc/mtlsd.tmpfiles
CLEANFILES += etc/mtlsd.service etc/mtlsd.conf etc/tmpfiles/mtlsd.conf
