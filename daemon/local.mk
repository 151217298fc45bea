# SPDX-License-Identifier: LGPL-2.1-or-later
# The daemon, its sources from the lowest layer to the highest (ARCHITECTURE.md).

sbin_PROGRAMS += mtlsd

mtlsd_layer0 = \
	daemon/cleanup.h daemon/error.c daemon/error.h daemon/log.c daemon/log.h \
	daemon/wire.c daemon/wire.h
mtlsd_heap = \
	daemon/layer.h daemon/class.c daemon/class.h daemon/side.h daemon/meta.c daemon/meta.h daemon/site.c daemon/site.h \
	daemon/run.c daemon/run.h daemon/central.c daemon/central.h daemon/bin.c daemon/bin.h daemon/alloc.c daemon/alloc.h \
	daemon/quarantine.c daemon/quarantine.h daemon/heap.c daemon/heap.h daemon/heap-internal.h daemon/profile.c \
	daemon/journal.c daemon/journal.h daemon/scope.c daemon/scope.h daemon/scope-internal.h daemon/booking.c daemon/arena.c \
	daemon/interpose.c daemon/interpose.h daemon/interpose-string.c daemon/interpose-cxx.c daemon/interpose-thread.c \
	daemon/symbol.c daemon/symbol.h
mtlsd_layer1 = \
	daemon/yaml.c daemon/yaml.h daemon/deadline.c daemon/deadline.h \
	daemon/pin.c daemon/pin.h daemon/stats.c daemon/stats.h \
	daemon/listener.c daemon/listener.h
mtlsd_schema = \
	daemon/schema.c daemon/schema.h daemon/schema-value.c daemon/schema-value.h daemon/schema-nearest.c \
	daemon/schema-reference.c
mtlsd_config = \
	daemon/config.c daemon/config.h daemon/config-tables.c daemon/config-tables.h daemon/config-check.c \
	daemon/config-check.h daemon/config-routes.c
mtlsd_layer2 = \
	$(mtlsd_schema) $(mtlsd_config) daemon/glob.c daemon/glob.h \
	daemon/name.c daemon/name.h daemon/identity.c daemon/identity.h daemon/router.c daemon/router.h daemon/tls.c daemon/tls.h \
	daemon/gate.c daemon/gate.h
mtlsd_layer3 = \
	daemon/response.c daemon/response.h daemon/connection.c daemon/connection.h \
	daemon/settings.c daemon/settings.h daemon/image.c daemon/image.h \
	daemon/instance.c daemon/instance.h daemon/pool.c daemon/pool.h
mtlsd_layer4 = \
	daemon/request.c daemon/request.h daemon/host.c daemon/host.h \
	daemon/supervisor.c daemon/supervisor.h
mtlsd_layer5 = \
	daemon/endpoint.c daemon/endpoint.h daemon/job.c daemon/job.h \
	daemon/control.c daemon/control.h daemon/command.h daemon/commands.c daemon/introspect.c
mtlsd_layer6 = daemon/server.c daemon/server.h daemon/main.c

mtlsd_SOURCES = $(mtlsd_layer0) $(mtlsd_heap) $(mtlsd_layer1) $(mtlsd_layer2) $(mtlsd_layer3) $(mtlsd_layer4) \
	$(mtlsd_layer5) $(mtlsd_layer6)
EXTRA_mtlsd_DEPENDENCIES = $(srcdir)/daemon/exports.list
mtlsd_LDADD = $(GNUTLS_LIBS) $(SYSTEMD_LIBS) $(YAML_LIBS) $(MICROHTTPD_LIBS) $(JANSSON_LIBS) $(DW_LIBS) -lpthread -ldl
# What libraries and plugins must find in the executable first: the malloc family, thread starts, the framing gate.
mtlsd_LDFLAGS = $(AM_LDFLAGS) -Wl,--dynamic-list=$(srcdir)/daemon/exports.list
EXTRA_DIST += daemon/exports.list
