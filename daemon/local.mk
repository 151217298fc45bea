# SPDX-License-Identifier: LGPL-2.1-or-later
# The daemon, its sources from the lowest layer to the highest (ARCHITECTURE.md).

sbin_PROGRAMS += mtlsd

mtlsd_base = \
	daemon/cleanup.h daemon/error.c daemon/error.h daemon/log.c daemon/log.h daemon/place.h daemon/throttle.h \
	daemon/wire.c daemon/wire.h \
	daemon/stats.c daemon/stats.h daemon/pool.c daemon/pool.h daemon/deadline.c daemon/deadline.h \
	daemon/digest.c daemon/digest.h daemon/accesslog.c daemon/accesslog-format.c daemon/accesslog.h daemon/name.c daemon/name.h
mtlsd_heap = \
	daemon/layer.h daemon/pace.c daemon/pace.h daemon/class.c daemon/class.h daemon/side.h daemon/units.c daemon/units.h daemon/meta.c daemon/meta.h \
	daemon/site.c daemon/site.h daemon/run.c daemon/run.h daemon/central.c daemon/central.h daemon/bin.c daemon/bin.h \
	daemon/alloc.c daemon/alloc.h daemon/quarantine.c daemon/quarantine.h daemon/heap.c daemon/heap.h \
	daemon/heap-internal.h daemon/profile.c daemon/journal.c daemon/journal.h daemon/scope.c daemon/scope.h \
	daemon/scope-internal.h daemon/booking.c daemon/arena.c daemon/reserve.c daemon/reserve.h daemon/interpose.c daemon/interpose.h \
	daemon/interpose-string.c daemon/interpose-cxx.c daemon/interpose-thread.c daemon/crash.c daemon/crash.h \
	daemon/sample.c daemon/sample.h daemon/stack.c daemon/stack.h daemon/vault.c daemon/vault.h daemon/capture.c daemon/capture.h \
	daemon/symbol.c daemon/symbol.h
mtlsd_schema = \
	daemon/schema.c daemon/schema.h daemon/schema-reader.c daemon/schema-reader.h daemon/schema-value.c \
	daemon/schema-value.h daemon/schema-nearest.c daemon/schema-reference.c
mtlsd_config = \
	daemon/config.c daemon/config.h daemon/config-tables.c daemon/config-tables.h daemon/config-routes.c \
	daemon/config-check.c daemon/config-check.h daemon/config-policy.c daemon/policy.h \
	daemon/budget.h daemon/breaker.h daemon/verdict.h daemon/probe.h daemon/config-tls.c daemon/config-rules.c daemon/network.c daemon/network.h
# Certificates and what they say of their owners.
mtlsd_identity = daemon/der.c daemon/der.h daemon/certificate.c daemon/certificate.h daemon/identity.c daemon/identity.h \
	daemon/identity-internal.h daemon/identity-plain.c
mtlsd_access = \
	daemon/yaml.c daemon/yaml.h daemon/glob.c daemon/glob.h $(mtlsd_identity) daemon/identity-cache.c daemon/identity-cache.h daemon/router.c daemon/router.h daemon/access.c daemon/access.h
mtlsd_plugin = \
	daemon/response.c daemon/response.h daemon/signals.h daemon/exposure.c daemon/exposure.h daemon/connection.c daemon/connection.h daemon/settings.c daemon/settings.h \
	daemon/image.c daemon/image.h daemon/instance.c daemon/instance.h daemon/instance-internal.h \
	daemon/breaker.c daemon/nonces.c daemon/nonces-file.c daemon/nonces-file.h daemon/nonces-table.c daemon/nonces-table.h daemon/nonces.h daemon/instance-call.c daemon/instance-start.c daemon/monotonic.h daemon/plugin.c daemon/plugin.h
mtlsd_request = \
	daemon/snapshot.c daemon/snapshot.h daemon/request.c daemon/request.h daemon/request-log.c daemon/step.c daemon/step.h daemon/host.c \
	daemon/host.h daemon/supervisor.c daemon/supervisor.h daemon/supervisor-internal.h daemon/supervisor-apply.c \
	daemon/supervisor-view.c daemon/supervisor-zombie.c daemon/supervisor-dump.c daemon/supervisor-peak.c \
	daemon/supervisor-fault.c daemon/supervisor-nonces.c \
	daemon/places.c daemon/places.h
mtlsd_policy = \
	daemon/policy.c daemon/budget.c daemon/archive.c daemon/archive.h daemon/event.c daemon/event.h
mtlsd_signals = \
	daemon/signals.c daemon/signals.h daemon/ladder.c daemon/ladder.h daemon/moments.c daemon/moments.h
mtlsd_judge = \
	$(mtlsd_signals) daemon/trend.c daemon/trend.h daemon/verdict.c daemon/verdict.h daemon/verdict-internal.h daemon/verdict-axis.c \
	daemon/verdict-look.c daemon/verdict-rate.c \
	daemon/verdict-sites.c daemon/verdict-text.c daemon/record.c daemon/record.h daemon/record-read.c
mtlsd_verdict = \
	daemon/probe.c daemon/probe.h daemon/inspector.c daemon/inspector.h daemon/walk.c daemon/walk.h $(mtlsd_judge)
mtlsd_overseer = \
	daemon/overseer.c daemon/overseer.h daemon/overseer-internal.h daemon/overseer-watch.c daemon/overseer-act.c daemon/overseer-verb.c \
	daemon/overseer-repair.c daemon/overseer-view.c
mtlsd_format = \
	daemon/portion.h daemon/pprof.c daemon/pprof.h daemon/rendering.c daemon/rendering.h daemon/format.h daemon/format-json.c daemon/format-folded.c daemon/format-pprof.c \
	daemon/callers.c daemon/callers.h daemon/difference.c daemon/difference.h
mtlsd_gate = \
	daemon/target.c daemon/target.h daemon/gate.c daemon/gate.h daemon/gate-head.c daemon/gate-head.h \
	daemon/gate-chunk.c daemon/gate-chunk.h daemon/gate-reason.c daemon/gate-reason.h daemon/gate-request.c \
	daemon/gate-request.h daemon/request-header.h
if HAVE_LIBCRYPTO
mtlsd_signature = daemon/signature.h daemon/signature.c daemon/signature-nettle.c
else
mtlsd_signature = daemon/signature.h daemon/signature-none.c
endif
EXTRA_DIST += daemon/signature.c daemon/signature-nettle.c daemon/signature-none.c
mtlsd_tls = \
	daemon/secret.c daemon/secret.h daemon/hello.c daemon/hello.h daemon/ticket.c daemon/ticket.h daemon/chain.c daemon/chain.h \
	daemon/chain-cache.c daemon/chain-cache.h daemon/crl.c daemon/crl.h daemon/tls-refusal.c daemon/tls-refusal.h \
	daemon/trust.c daemon/trust.h daemon/trust-internal.h daemon/trust-judge.c daemon/trust-plain.c daemon/trust-plain.h daemon/ocsp.c daemon/ocsp.h daemon/credential.c daemon/credential.h \
	daemon/handover.c daemon/handover.h daemon/tls-policy.c daemon/tls-policy.h daemon/tls.c daemon/tls.h daemon/tls-store.c daemon/tls-store.h \
	daemon/handshake.c daemon/handshake.h
mtlsd_edge = \
	daemon/listener.c daemon/listener.h daemon/peer-limit.c daemon/peer-limit.h \
	$(mtlsd_tls) daemon/edge.h daemon/edge-connection.c \
	daemon/flight.c daemon/flight.h daemon/edge-exchange.c daemon/edge-recheck.c daemon/edge-record.c daemon/edge-send.c daemon/edge-serve.c daemon/edge-socket.c \
	daemon/edge-table.c daemon/edge-turn.c daemon/edge-watch.c daemon/tls-watch.c daemon/tls-watch.h daemon/tls-keeper.c daemon/tls-keeper.h \
	daemon/endpoint.c daemon/endpoint.h
mtlsd_commands = \
	daemon/command.c daemon/command.h daemon/commands.c daemon/command-access.c daemon/command-daemon.c \
	daemon/command-doctor.c daemon/command-dump.c daemon/command-escapes.c daemon/command-explain.c \
	daemon/command-list.c daemon/command-plugin.c daemon/command-sampling.c daemon/command-show.c daemon/command-tls.c \
	daemon/doctor.c daemon/doctor.h daemon/explain.c daemon/explain.h daemon/introspect.c daemon/introspect.h \
	daemon/outlet.c daemon/outlet.h
mtlsd_control = \
	daemon/job.c daemon/job.h daemon/errand.c daemon/errand.h daemon/pressure.c daemon/pressure.h $(mtlsd_commands) \
	daemon/peer.c daemon/peer.h daemon/caller.c daemon/caller.h daemon/caller-internal.h \
	daemon/caller-call.c daemon/caller-job.c daemon/control.c daemon/control.h

mtlsd_SOURCES = $(mtlsd_signature) $(mtlsd_base) $(mtlsd_heap) $(mtlsd_schema) $(mtlsd_config) $(mtlsd_access) $(mtlsd_plugin) $(mtlsd_policy) $(mtlsd_verdict) $(mtlsd_request) \
	$(mtlsd_gate) $(mtlsd_edge) $(mtlsd_format) $(mtlsd_overseer) $(mtlsd_control) daemon/wall.c daemon/wall.h daemon/wall-plan.c daemon/wall-plan.h daemon/server.c daemon/server-internal.h daemon/server-reload.c daemon/server.h \
	daemon/server-fault.c daemon/server-fault.h daemon/main.c
EXTRA_mtlsd_DEPENDENCIES = $(srcdir)/daemon/exports.list
mtlsd_LDADD = $(GNUTLS_LIBS) $(CRYPTO_LIBS) $(SYSTEMD_LIBS) $(SECCOMP_LIBS) $(YAML_LIBS) $(MICROHTTPD_LIBS) $(JANSSON_LIBS) $(DW_LIBS) $(ELF_LIBS) $(ZLIB_LIBS) -lresolv -lpthread -ldl -lm
# What libraries and plugins must find in the executable first: the malloc family, thread starts, the framing gate.
mtlsd_LDFLAGS = $(AM_LDFLAGS) -Wl,--dynamic-list=$(srcdir)/daemon/exports.list
EXTRA_DIST += daemon/exports.list
