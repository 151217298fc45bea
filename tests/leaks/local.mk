# SPDX-License-Identifier: LGPL-2.1-or-later
# The corpus of leaks and of what only looks like one, and the program that runs it (README.md). Built on demand:
# `make leaks`; adding a family: its name here, NAME.c and NAME.label in the folder of its part, its line in SPLIT.

leak_tune = \
	a_to_b abort_path after_reload background burst client_state connection cycle decision_cache deferred_free \
	diurnal error_path every_request four_bytes fragmentation handshake hmac_contexts late_onset lazy_init \
	libc_tree listeners log_ring lru_huge lru_large lru_small module_store one_byte one_client one_percent \
	one_route pool request_store resized route_context sawtooth_long sawtooth_short session_log step timeout_path \
	trickle ttl_cache under_lru under_sawtooth vector
leak_validation = \
	clock_small error_builder expired_certificate generation_flip header_copies idle_sessions interned_words \
	key_ring late_free lazy_routes line_buffer nonce_store page_pool probe_table rehash_index reloaded_patterns \
	sampler_pages seats segmented_large session_timers slab_slots sparse_marks spool_batches subject_trie \
	ticket_queue upload_bodies watched_client wheel_ttl \
	after_expiry archive_segments arena_reset audit_rows buffer_stock chain_copies closure_ring connection_stats \
	csv_writer daily_visitors debug_pages ghost_small gone_streams grace_period handed_over heartbeat \
	lazy_patterns lease_heap long_polls long_warmup mixed_sizes page_per_request policy_memo quotas rare_traces \
	request_registry route_sessions sets_large signing_keys sparse_flags status_pages stream_hooks strict_rules \
	swelling_entries table_load tenant_journal under_flush under_warmup undo_notes weak_random
leak_sealed = \
	code_trees etag_strings hash_chain key_minutes late_replies latency_samples map_points merged_ranges \
	pinned_front plan_versions promise_waiters quantile_sketch resume_tokens staple_parts thrown_errors window_counts \
	sampled_small frequency_large tidy_ttl tally_flush runs_merge client_windows parser_pool filter_upgrade \
	flight_recorder heat_map standby_tickets write_behind mixed_lives prepared_keys hazard_list rebuilt_index \
	vacuum_backoff sketch_merge
leak_beyond = slow_table
leak_paths = $(leak_tune:%=tests/leaks/tune/%) $(leak_validation:%=tests/leaks/validation/%) \
	$(leak_sealed:%=tests/leaks/sealed/%) $(leak_beyond:%=tests/leaks/beyond/%)
leak_families = $(leak_paths:%=%.so)
leak_headers = \
	plugins/include/mtlsd/plugin.h tests/leaks/corpus.h tests/leaks/cache.h tests/leaks/lru.h tests/leaks/batch.h tests/leaks/sawtooth.h
CLEANFILES += $(leak_families)
$(leak_families): %.so: %.c $(leak_headers)
	$(AM_V_CC)$(MKDIR_P) $(@D) && $(CC) $(MODULE_CPPFLAGS) $(CPPFLAGS) $(MODULE_CFLAGS) $(CFLAGS) $(MODULE_LDFLAGS) $(LDFLAGS) -o $@ $<

leak_course = \
	tests/leaks/label.c tests/leaks/label.h tests/leaks/traffic.c tests/leaks/traffic.h tests/leaks/timeline.c \
	tests/leaks/timeline.h tests/leaks/stage.c tests/leaks/stage.h tests/leaks/crowd.c tests/leaks/crowd.h \
	tests/leaks/course.c tests/leaks/course.h
leak_evaluator = \
	tests/leaks/evaluator.c tests/leaks/run.c tests/leaks/run.h tests/leaks/baseline.c tests/leaks/baseline.h tests/leaks/replay.c \
	tests/leaks/replay.h tests/leaks/score.c tests/leaks/score.h tests/leaks/figures.c tests/leaks/figures.h $(leak_course)
EXTRA_PROGRAMS += tests/leaks/evaluator tests/leaks/auditor
CLEANFILES += tests/leaks/evaluator tests/leaks/auditor
.PHONY: leaks
leaks: tests/leaks/evaluator tests/leaks/auditor $(leak_families)
EXTRA_DIST += tests/leaks/evaluate tests/leaks/audit tests/leaks/SPLIT tests/leaks/README.md $(leak_headers) $(leak_paths:%=%.c) $(leak_paths:%=%.label)

tests_leaks_evaluator_SOURCES = $(leak_evaluator) $(mtlsd_verdict) $(request_flow)
tests_leaks_evaluator_LDADD = $(JANSSON_LIBS) $(YAML_LIBS) $(SYSTEMD_LIBS) $(GNUTLS_LIBS) $(DW_LIBS) $(ELF_LIBS) -lm -lpthread -ldl
# Its own clock, which plugins find in the executable, and its own way with deadlines and late callbacks (stage.c).
tests_leaks_evaluator_LDFLAGS = $(mtlsd_LDFLAGS) -Wl,--dynamic-list=$(srcdir)/tests/leaks/exports.list \
	-Wl,--wrap=deadline_wheel_new -Wl,--wrap=pool_push -Wl,--wrap=instance_began
EXTRA_tests_leaks_evaluator_DEPENDENCIES = $(srcdir)/tests/leaks/exports.list
tests_leaks_auditor_SOURCES = tests/leaks/auditor.c $(leak_course) $(request_flow)
tests_leaks_auditor_LDADD = $(tests_leaks_evaluator_LDADD)
tests_leaks_auditor_LDFLAGS = $(tests_leaks_evaluator_LDFLAGS)
EXTRA_tests_leaks_auditor_DEPENDENCIES = $(srcdir)/tests/leaks/exports.list
EXTRA_DIST += tests/leaks/exports.list
