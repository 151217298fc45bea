# SPDX-License-Identifier: LGPL-2.1-or-later
# One test program a noun; each links only the objects it tests. Objects are shared between programs, so keep
# per-program flags away unless the object must differ.
if HAVE_CMOCKA
unit_tests = \
	tests/unit/test-error tests/unit/test-yaml tests/unit/test-schema tests/unit/test-config tests/unit/test-config-memory tests/unit/test-glob \
	tests/unit/test-identity tests/unit/test-identity-plain tests/unit/test-identity-cache tests/unit/test-access tests/unit/test-accesslog tests/unit/test-router \
	tests/unit/test-deadline tests/unit/test-gate tests/unit/test-listener tests/unit/test-handover \
	tests/unit/test-wire tests/unit/test-job tests/unit/test-command-table tests/unit/test-commands tests/unit/test-command-dump \
	tests/unit/test-log tests/unit/test-control tests/unit/test-caller tests/unit/test-arguments tests/unit/test-render tests/unit/test-rendering tests/unit/test-top tests/unit/test-doctor tests/unit/test-doctor-memory tests/unit/test-explain tests/unit/test-format tests/unit/test-difference \
	tests/unit/test-pace tests/unit/test-heap tests/unit/test-heap-threads tests/unit/test-scope tests/unit/test-stack tests/unit/test-vault tests/unit/test-scope-image \
	tests/unit/test-exposure tests/unit/test-request tests/unit/test-request-stream tests/unit/test-request-life tests/unit/test-pool tests/unit/test-settings tests/unit/test-fixtures \
	tests/unit/test-whoami tests/unit/test-corpus
unit_tests += tests/unit/test-signals tests/unit/test-ladder tests/unit/test-walk tests/unit/test-trend tests/unit/test-verdict tests/unit/test-verdict-sites tests/unit/test-probe tests/unit/test-record tests/unit/test-inspector
unit_tests += tests/unit/test-policy tests/unit/test-budget tests/unit/test-breaker tests/unit/test-archive tests/unit/test-nonces tests/unit/test-nonces-file tests/unit/test-overseer tests/unit/test-overseer-repair
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
endif

# yaml, schema, configuration, access
tests_unit_test_pace_SOURCES = tests/unit/test-pace.c daemon/pace.c
tests_unit_test_pace_LDADD = $(CMOCKA_LIBS)
tests_unit_test_error_SOURCES = tests/unit/test-error.c daemon/error.c
tests_unit_test_error_LDADD = $(CMOCKA_LIBS)
tests_unit_test_yaml_SOURCES = tests/unit/test-yaml.c daemon/yaml.c daemon/error.c
tests_unit_test_yaml_LDADD = $(CMOCKA_LIBS) $(YAML_LIBS)
tests_unit_test_schema_SOURCES = tests/unit/test-schema.c $(mtlsd_schema) daemon/yaml.c daemon/error.c
tests_unit_test_schema_LDADD = $(CMOCKA_LIBS) $(YAML_LIBS)
tests_unit_test_config_SOURCES = tests/unit/test-config.c $(mtlsd_config) daemon/name.c $(mtlsd_schema) daemon/yaml.c daemon/error.c \
	$(mtlsd_verdict) daemon/units.c
tests_unit_test_config_LDADD = $(CMOCKA_LIBS) $(YAML_LIBS) -lm
tests_unit_test_config_memory_SOURCES = tests/unit/test-config-memory.c $(mtlsd_config) daemon/name.c $(mtlsd_schema) \
	daemon/yaml.c daemon/error.c daemon/router.c daemon/access.c daemon/glob.c
tests_unit_test_config_memory_LDADD = $(CMOCKA_LIBS) $(YAML_LIBS)
tests_unit_test_glob_SOURCES = tests/unit/test-glob.c daemon/glob.c
tests_unit_test_glob_LDADD = $(CMOCKA_LIBS)
tests_unit_test_identity_cache_SOURCES = tests/unit/test-identity-cache.c daemon/identity-cache.c $(mtlsd_identity) daemon/name.c \
	daemon/error.c
tests_unit_test_identity_cache_LDADD = $(CMOCKA_LIBS) $(GNUTLS_LIBS)
test_identity_fixture = tests/unit/identity-fixture.c tests/unit/identity-fixture.h
tests_unit_test_identity_plain_SOURCES = tests/unit/test-identity-plain.c $(test_identity_fixture) $(mtlsd_identity) daemon/name.c \
	daemon/error.c
tests_unit_test_identity_plain_LDADD = $(CMOCKA_LIBS) $(GNUTLS_LIBS)
tests_unit_test_identity_SOURCES = tests/unit/test-identity.c $(mtlsd_identity) daemon/name.c daemon/error.c
tests_unit_test_identity_LDADD = $(CMOCKA_LIBS) $(GNUTLS_LIBS)
tests_unit_test_access_SOURCES = tests/unit/test-access.c daemon/access.c daemon/network.c daemon/glob.c daemon/name.c
tests_unit_test_access_LDADD = $(CMOCKA_LIBS)
tests_unit_test_accesslog_SOURCES = tests/unit/test-accesslog.c daemon/accesslog.c daemon/accesslog-format.c daemon/event.c daemon/log.c \
	daemon/stats.c daemon/error.c
tests_unit_test_accesslog_LDADD = $(CMOCKA_LIBS) $(JANSSON_LIBS) $(SYSTEMD_LIBS) -lpthread
tests_unit_test_router_SOURCES = tests/unit/test-router.c daemon/router.c daemon/access.c daemon/network.c daemon/glob.c daemon/name.c
tests_unit_test_router_LDADD = $(CMOCKA_LIBS)

# policy
tests_unit_test_policy_SOURCES = tests/unit/test-policy.c daemon/policy.c daemon/units.c
tests_unit_test_policy_LDADD = $(CMOCKA_LIBS)
tests_unit_test_budget_SOURCES = tests/unit/test-budget.c daemon/budget.c
tests_unit_test_budget_LDADD = $(CMOCKA_LIBS)
tests_unit_test_breaker_SOURCES = tests/unit/test-breaker.c daemon/breaker.c
tests_unit_test_breaker_LDADD = $(CMOCKA_LIBS) -lpthread
test_overseer_stage = tests/unit/overseer-stage.c tests/unit/overseer-stage.h $(mtlsd_overseer) $(mtlsd_policy) \
	daemon/breaker.c daemon/pool.c daemon/stats.c daemon/pace.c daemon/units.c daemon/log.c daemon/error.c
tests_unit_test_overseer_SOURCES = tests/unit/test-overseer.c $(test_overseer_stage)
tests_unit_test_overseer_LDADD = $(CMOCKA_LIBS) $(JANSSON_LIBS) $(SYSTEMD_LIBS) -lpthread
tests_unit_test_overseer_repair_SOURCES = tests/unit/test-overseer-repair.c $(test_overseer_stage)
tests_unit_test_overseer_repair_LDADD = $(tests_unit_test_overseer_LDADD)
tests_unit_test_archive_SOURCES = tests/unit/test-archive.c daemon/archive.c daemon/error.c
tests_unit_test_archive_LDADD = $(CMOCKA_LIBS)
test_nonces_place = tests/unit/nonces-place.c tests/unit/nonces-place.h daemon/nonces.c daemon/nonces-file.c daemon/nonces-table.c daemon/event.c daemon/log.c daemon/error.c
tests_unit_test_nonces_SOURCES = tests/unit/test-nonces.c $(test_nonces_place)
tests_unit_test_nonces_LDADD = $(CMOCKA_LIBS) $(GNUTLS_LIBS) $(SYSTEMD_LIBS) -lpthread
tests_unit_test_nonces_file_SOURCES = tests/unit/test-nonces-file.c $(test_nonces_place)
tests_unit_test_nonces_file_LDADD = $(tests_unit_test_nonces_LDADD)

# edge
tests_unit_test_deadline_SOURCES = tests/unit/test-deadline.c daemon/deadline.c
tests_unit_test_deadline_LDADD = $(CMOCKA_LIBS) -lpthread
tests_unit_test_gate_SOURCES = tests/unit/test-gate.c $(mtlsd_gate)
tests_unit_test_gate_LDADD = $(CMOCKA_LIBS)
tests_unit_test_handover_SOURCES = tests/unit/test-handover.c daemon/handover.c daemon/listener.c daemon/error.c
tests_unit_test_handover_LDADD = $(CMOCKA_LIBS) $(SYSTEMD_LIBS)
tests_unit_test_listener_SOURCES = tests/unit/test-listener.c daemon/handover.c daemon/listener.c daemon/peer-limit.c \
	daemon/error.c
tests_unit_test_listener_LDADD = $(CMOCKA_LIBS) $(SYSTEMD_LIBS)

# control
tests_unit_test_log_SOURCES = tests/unit/test-log.c daemon/log.c
tests_unit_test_log_LDADD = $(CMOCKA_LIBS) $(SYSTEMD_LIBS)
tests_unit_test_wire_SOURCES = tests/unit/test-wire.c daemon/wire.c daemon/error.c
tests_unit_test_wire_LDADD = $(CMOCKA_LIBS) $(JANSSON_LIBS)
tests_unit_test_job_SOURCES = tests/unit/test-job.c daemon/job.c
tests_unit_test_job_LDADD = $(CMOCKA_LIBS) $(SYSTEMD_LIBS) -lpthread
test_commands = daemon/pool.c tests/unit/fake-server.c tests/unit/fake-server.h tests/unit/fake-overseer.c daemon/wire.c \
	daemon/router.c daemon/access.c daemon/network.c daemon/glob.c $(mtlsd_identity) \
	daemon/name.c daemon/target.c $(mtlsd_commands) $(mtlsd_tls) daemon/yaml.c $(mtlsd_format) daemon/verdict-text.c $(mtlsd_signals) daemon/event.c daemon/units.c \
	daemon/job.c daemon/pace.c daemon/log.c daemon/schema-nearest.c daemon/schema-value.c daemon/error.c
test_command_fixture = tests/unit/command-fixture.c tests/unit/command-fixture.h $(test_commands)
test_control_fixture = tests/unit/control-fixture.c tests/unit/control-fixture.h daemon/control.c daemon/caller.c \
	daemon/caller-call.c daemon/caller-job.c daemon/peer.c $(test_commands)
tests_unit_test_command_table_SOURCES = tests/unit/test-command-table.c tests/unit/pki-fixture.c tests/unit/pki-fixture.h \
	$(test_command_fixture)
tests_unit_test_command_table_LDADD = $(CMOCKA_LIBS) $(JANSSON_LIBS) $(SYSTEMD_LIBS) $(ZLIB_LIBS) $(GNUTLS_LIBS) $(YAML_LIBS) -lpthread -lm
tests_unit_test_commands_SOURCES = tests/unit/test-commands.c $(test_command_fixture)
tests_unit_test_command_dump_SOURCES = tests/unit/test-command-dump.c $(test_command_fixture)
tests_unit_test_command_dump_LDADD = $(tests_unit_test_commands_LDADD)
tests_unit_test_commands_LDADD = $(CMOCKA_LIBS) $(JANSSON_LIBS) $(SYSTEMD_LIBS) $(ZLIB_LIBS) $(GNUTLS_LIBS) $(YAML_LIBS) -lpthread -lm
tests_unit_test_control_SOURCES = tests/unit/test-control.c $(test_control_fixture)
tests_unit_test_control_LDADD = $(CMOCKA_LIBS) $(JANSSON_LIBS) $(SYSTEMD_LIBS) $(ZLIB_LIBS) $(GNUTLS_LIBS) $(YAML_LIBS) -lpthread -lm
tests_unit_test_caller_SOURCES = tests/unit/test-caller.c $(test_control_fixture)
tests_unit_test_caller_LDADD = $(CMOCKA_LIBS) $(JANSSON_LIBS) $(SYSTEMD_LIBS) $(ZLIB_LIBS) $(GNUTLS_LIBS) $(YAML_LIBS) -lpthread -lm
tests_unit_test_arguments_SOURCES = tests/unit/test-arguments.c ctl/arguments.c daemon/schema-nearest.c \
	daemon/schema-value.c daemon/error.c
tests_unit_test_arguments_LDADD = $(CMOCKA_LIBS) $(JANSSON_LIBS)
tests_unit_test_arguments_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/ctl
tests_unit_test_render_SOURCES = tests/unit/test-render.c ctl/render.c daemon/units.c
tests_unit_test_render_LDADD = $(CMOCKA_LIBS) $(JANSSON_LIBS)
tests_unit_test_rendering_SOURCES = tests/unit/test-rendering.c daemon/rendering.c daemon/pace.c
tests_unit_test_rendering_LDADD = $(CMOCKA_LIBS) $(JANSSON_LIBS)
tests_unit_test_render_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/ctl
tests_unit_test_top_SOURCES = tests/unit/test-top.c ctl/top.c ctl/top-draw.c
tests_unit_test_top_LDADD = $(CMOCKA_LIBS) $(JANSSON_LIBS) -lm
tests_unit_test_top_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/ctl
tests_unit_test_explain_SOURCES = tests/unit/test-explain.c daemon/explain.c daemon/verdict-text.c $(mtlsd_signals) \
	ctl/render.c daemon/command.c daemon/wire.c daemon/schema-nearest.c daemon/schema-value.c daemon/units.c daemon/error.c
tests_unit_test_explain_LDADD = $(CMOCKA_LIBS) $(JANSSON_LIBS) -lm
tests_unit_test_explain_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/ctl
test_patient = tests/unit/patient.c tests/unit/patient.h daemon/doctor.c daemon/units.c
tests_unit_test_doctor_memory_SOURCES = tests/unit/test-doctor-memory.c $(test_patient)
tests_unit_test_doctor_memory_LDADD = $(CMOCKA_LIBS)
tests_unit_test_doctor_SOURCES = tests/unit/test-doctor.c $(test_patient)
tests_unit_test_doctor_LDADD = $(CMOCKA_LIBS)

# dumps
tests_unit_test_format_SOURCES = tests/unit/test-format.c daemon/pprof.c daemon/format-folded.c daemon/format-pprof.c daemon/pace.c
tests_unit_test_format_LDADD = $(CMOCKA_LIBS) $(ZLIB_LIBS)

tests_unit_test_difference_SOURCES = tests/unit/test-difference.c daemon/difference.c daemon/error.c
tests_unit_test_difference_LDADD = $(CMOCKA_LIBS) $(JANSSON_LIBS)

# heap
tests_unit_test_heap_SOURCES = tests/unit/test-heap.c tests/unit/heap-fixture.h $(mtlsd_heap)
tests_unit_test_heap_CPPFLAGS = $(AM_CPPFLAGS) -DHEAP_PREFIXED
tests_unit_test_heap_LDADD = $(CMOCKA_LIBS) $(DW_LIBS) -lpthread
tests_unit_test_heap_threads_SOURCES = tests/unit/test-heap-threads.c tests/unit/heap-fixture.h $(mtlsd_heap)
tests_unit_test_heap_threads_CPPFLAGS = $(AM_CPPFLAGS) -DHEAP_PREFIXED
tests_unit_test_heap_threads_LDADD = $(CMOCKA_LIBS) $(DW_LIBS) -lpthread
tests_unit_test_scope_SOURCES = tests/unit/test-scope.c tests/unit/scope-fixture.h $(mtlsd_heap)
tests_unit_test_scope_LDADD = $(CMOCKA_LIBS) $(DW_LIBS) -lpthread -ldl
tests_unit_test_scope_LDFLAGS = $(mtlsd_LDFLAGS)
tests_unit_test_stack_SOURCES = tests/unit/test-stack.c daemon/stack.c daemon/stack.h
tests_unit_test_stack_LDADD = $(CMOCKA_LIBS) -lpthread
tests_unit_test_vault_SOURCES = tests/unit/test-vault.c $(mtlsd_heap)
tests_unit_test_vault_LDADD = $(CMOCKA_LIBS) $(DW_LIBS) -lpthread -ldl
tests_unit_test_vault_LDFLAGS = $(mtlsd_LDFLAGS)
tests_unit_test_scope_image_SOURCES = tests/unit/test-scope-image.c tests/unit/scope-fixture.h $(mtlsd_heap)
tests_unit_test_scope_image_LDADD = $(CMOCKA_LIBS) $(DW_LIBS) -lpthread -ldl
tests_unit_test_scope_image_LDFLAGS = $(mtlsd_LDFLAGS)
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/scope-image.so tests/unit/scope-image-cxx.so
endif
tests_unit_scope_image_so_SOURCES = tests/unit/scope-image.c
tests_unit_scope_image_so_CFLAGS = -g $(WARNINGS) $(SANITIZE) -fPIC
tests_unit_scope_image_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_unit_scope_image_cxx_so_SOURCES = tests/unit/scope-image-cxx.cc
tests_unit_scope_image_cxx_so_CXXFLAGS = -g $(CXXWARNINGS) $(SANITIZE) -fPIC -fno-gnu-unique
tests_unit_scope_image_cxx_so_LDFLAGS = $(MODULE_LDFLAGS)

# requests and plugins
fake_transport = tests/unit/fake-transport.c tests/unit/fake-transport.h
tests_unit_test_exposure_SOURCES = tests/unit/test-exposure.c daemon/exposure.c daemon/stats.c
tests_unit_test_exposure_LDADD = $(CMOCKA_LIBS) -lpthread
test_request_stage = tests/unit/request-stage.c tests/unit/request-stage.h $(fake_transport) \
	daemon/request.c daemon/request-log.c daemon/accesslog.c daemon/accesslog-format.c daemon/step.c daemon/host.c daemon/snapshot.c \
	daemon/connection.c daemon/exposure.c daemon/response.c daemon/plugin.c daemon/nonces.c daemon/nonces-file.c daemon/nonces-table.c daemon/breaker.c daemon/stats.c daemon/pool.c daemon/deadline.c daemon/router.c daemon/access.c daemon/network.c \
	daemon/glob.c daemon/settings.c $(mtlsd_schema) daemon/yaml.c daemon/name.c daemon/error.c daemon/event.c daemon/log.c
tests_unit_test_request_SOURCES = tests/unit/test-request.c $(test_request_stage)
tests_unit_test_request_LDADD = $(CMOCKA_LIBS) $(JANSSON_LIBS) $(YAML_LIBS) $(SYSTEMD_LIBS) $(GNUTLS_LIBS) -lpthread
tests_unit_test_request_stream_SOURCES = tests/unit/test-request-stream.c $(test_request_stage)
tests_unit_test_request_stream_LDADD = $(tests_unit_test_request_LDADD)
tests_unit_test_request_life_SOURCES = tests/unit/test-request-life.c $(test_request_stage)
tests_unit_test_request_life_LDADD = $(tests_unit_test_request_LDADD)
tests_unit_test_pool_SOURCES = tests/unit/test-pool.c daemon/pool.c daemon/stats.c
tests_unit_test_pool_LDADD = $(CMOCKA_LIBS) -lpthread
tests_unit_test_settings_SOURCES = tests/unit/test-settings.c daemon/settings.c $(mtlsd_schema) daemon/yaml.c daemon/error.c
tests_unit_test_settings_LDADD = $(CMOCKA_LIBS) $(YAML_LIBS)
# The whole flow of a request through real plugins; the leak corpus runs on it too.
request_flow = $(fake_transport) daemon/request.c daemon/request-log.c daemon/accesslog.c daemon/accesslog-format.c daemon/step.c daemon/host.c daemon/snapshot.c \
	daemon/pool.c daemon/deadline.c daemon/stats.c daemon/router.c daemon/access.c daemon/network.c daemon/glob.c daemon/digest.c daemon/yaml.c daemon/name.c \
	daemon/error.c daemon/event.c daemon/log.c $(mtlsd_plugin) $(mtlsd_heap) $(mtlsd_schema)
tests_unit_test_fixtures_SOURCES = tests/unit/test-fixtures.c $(request_flow)
tests_unit_test_fixtures_LDADD = $(CMOCKA_LIBS) $(JANSSON_LIBS) $(YAML_LIBS) $(SYSTEMD_LIBS) $(GNUTLS_LIBS) $(DW_LIBS) $(ELF_LIBS) \
	-lpthread -ldl
# Its way to an instance's memory before the instance has used any.
tests_unit_test_fixtures_LDFLAGS = $(mtlsd_LDFLAGS) -Wl,--wrap=scope_space_new

# plugins
tests_unit_test_whoami_SOURCES = tests/unit/test-whoami.c plugins/whoami.c
tests_unit_test_whoami_LDADD = $(CMOCKA_LIBS) $(JANSSON_LIBS)

# verdicts
tests_unit_test_inspector_SOURCES = tests/unit/test-inspector.c $(mtlsd_verdict) daemon/units.c daemon/error.c
tests_unit_test_inspector_LDADD = $(CMOCKA_LIBS) -lpthread -lm
tests_unit_test_record_SOURCES = tests/unit/test-record.c $(mtlsd_judge) daemon/units.c daemon/error.c
tests_unit_test_record_LDADD = $(CMOCKA_LIBS) -lm
EXTRA_DIST += tests/unit/records
tests_unit_test_signals_SOURCES = tests/unit/test-signals.c $(mtlsd_signals)
tests_unit_test_signals_LDADD = $(CMOCKA_LIBS) -lpthread -lm
tests_unit_test_ladder_SOURCES = tests/unit/test-ladder.c daemon/ladder.c daemon/ladder.h
tests_unit_test_ladder_LDADD = $(CMOCKA_LIBS) -lm
tests_unit_test_walk_SOURCES = tests/unit/test-walk.c daemon/walk.c daemon/walk.h
tests_unit_test_walk_LDADD = $(CMOCKA_LIBS)
tests_unit_test_trend_SOURCES = tests/unit/test-trend.c daemon/trend.c
tests_unit_test_trend_LDADD = $(CMOCKA_LIBS) -lm
tests_unit_test_probe_SOURCES = tests/unit/test-probe.c daemon/probe.c $(mtlsd_judge) daemon/units.c daemon/error.c
tests_unit_test_probe_LDADD = $(CMOCKA_LIBS) -lm
test_life = tests/unit/life.c tests/unit/life.h $(mtlsd_judge) daemon/units.c daemon/error.c
tests_unit_test_verdict_SOURCES = tests/unit/test-verdict.c $(test_life)
tests_unit_test_verdict_LDADD = $(CMOCKA_LIBS) -lm
tests_unit_test_verdict_sites_SOURCES = tests/unit/test-verdict-sites.c $(test_life)
tests_unit_test_verdict_sites_LDADD = $(CMOCKA_LIBS) -lm

# the leak corpus
tests_unit_test_corpus_SOURCES = tests/unit/test-corpus.c tests/leaks/baseline.c tests/leaks/label.c tests/leaks/score.c \
	tests/leaks/traffic.c
tests_unit_test_corpus_LDADD = $(CMOCKA_LIBS) -lm

# credentials
if HAVE_CMOCKA
tls_tests = \
	tests/unit/test-hello tests/unit/test-ticket tests/unit/test-flight tests/unit/test-chain-cache tests/unit/test-trust tests/unit/test-trust-plain \
	tests/unit/test-credential tests/unit/test-secret tests/unit/test-tls-watch
if HAVE_LIBCRYPTO
tls_tests += tests/unit/test-signature
endif
check_PROGRAMS += $(tls_tests)
TESTS += $(tls_tests)
endif
tests_unit_test_flight_SOURCES = tests/unit/test-flight.c daemon/flight.c daemon/flight.h
tests_unit_test_flight_LDADD = $(CMOCKA_LIBS)
tests_unit_test_hello_SOURCES = tests/unit/test-hello.c daemon/hello.c
tests_unit_test_hello_LDADD = $(CMOCKA_LIBS)
tests_unit_test_ticket_SOURCES = tests/unit/test-ticket.c daemon/ticket.c daemon/secret.c daemon/error.c
tests_unit_test_ticket_LDADD = $(CMOCKA_LIBS) $(GNUTLS_LIBS)
tests_unit_test_chain_cache_SOURCES = tests/unit/test-chain-cache.c daemon/chain-cache.c daemon/chain.c
tests_unit_test_chain_cache_LDADD = $(CMOCKA_LIBS) $(GNUTLS_LIBS) -lpthread
tests_unit_test_signature_SOURCES = tests/unit/test-signature.c daemon/signature.h daemon/signature.c daemon/signature-nettle.c
# It counts who is asked, and can leave libcrypto out.
tests_unit_test_signature_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=signature_check
tests_unit_test_signature_LDADD = $(CMOCKA_LIBS) $(GNUTLS_LIBS) $(CRYPTO_LIBS)
test_trust = tests/unit/pki-fixture.c tests/unit/pki-fixture.h daemon/trust.c daemon/trust-judge.c daemon/trust-plain.c \
	daemon/crl.c daemon/chain.c daemon/chain-cache.c daemon/secret.c daemon/tls-refusal.c daemon/certificate.c daemon/der.c daemon/error.c
tests_unit_test_trust_SOURCES = tests/unit/test-trust.c $(test_trust)
tests_unit_test_trust_plain_SOURCES = tests/unit/test-trust-plain.c $(test_trust)
tests_unit_test_trust_plain_LDADD = $(CMOCKA_LIBS) $(GNUTLS_LIBS) -lpthread
tests_unit_test_trust_LDADD = $(CMOCKA_LIBS) $(GNUTLS_LIBS) -lpthread
tests_unit_test_credential_SOURCES = tests/unit/test-credential.c tests/unit/pki-fixture.c tests/unit/pki-fixture.h \
	$(mtlsd_tls) $(mtlsd_heap) daemon/pool.c daemon/certificate.c daemon/der.c daemon/yaml.c daemon/error.c
tests_unit_test_credential_LDADD = $(CMOCKA_LIBS) $(GNUTLS_LIBS) $(YAML_LIBS) $(SYSTEMD_LIBS) $(DW_LIBS) -lpthread -ldl
tests_unit_test_credential_LDFLAGS = $(mtlsd_LDFLAGS)
tests_unit_test_secret_SOURCES = tests/unit/test-secret.c daemon/secret.c daemon/error.c
tests_unit_test_secret_LDADD = $(CMOCKA_LIBS)
tests_unit_test_tls_watch_SOURCES = tests/unit/test-tls-watch.c daemon/tls-watch.c
tests_unit_test_tls_watch_LDADD = $(CMOCKA_LIBS) $(SYSTEMD_LIBS)
