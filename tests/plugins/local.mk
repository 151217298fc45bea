# SPDX-License-Identifier: LGPL-2.1-or-later
# Fixture plugins: each behaves, or misbehaves, in one documented way. Never installed.

fixture_plugins = \
	tests/plugins/attrs.so tests/plugins/badabi.so tests/plugins/badflags.so tests/plugins/badmagic.so \
	tests/plugins/badminor.so tests/plugins/badname.so tests/plugins/badsize.so tests/plugins/blocking.so \
	tests/plugins/cache.so tests/plugins/churn.so tests/plugins/conn.so tests/plugins/counterp.so tests/plugins/crashy.so \
	tests/plugins/cxx.so tests/plugins/doublefree.so tests/plugins/filter.so tests/plugins/forward.so tests/plugins/imports.so \
	tests/plugins/hoard.so tests/plugins/hold.so tests/plugins/leak.so tests/plugins/never.so tests/plugins/noinit.so tests/plugins/norequest.so \
	tests/plugins/nosymbol.so tests/plugins/overlimit.so tests/plugins/reconf.so tests/plugins/sick.so \
	tests/plugins/slow.so tests/plugins/stream.so tests/plugins/stubborn.so tests/plugins/thread.so \
	tests/plugins/unique.so tests/plugins/upload.so tests/plugins/workload.so \
	tests/plugins/wrapper.so tests/plugins/wrong.so
check_PROGRAMS += $(fixture_plugins)

tests_plugins_attrs_so_SOURCES = tests/plugins/attrs.c tests/plugins/fixture.h
tests_plugins_attrs_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_attrs_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_attrs_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_badabi_so_SOURCES = tests/plugins/badabi.c tests/plugins/fixture.h
tests_plugins_badabi_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_badabi_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_badabi_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_badflags_so_SOURCES = tests/plugins/badflags.c tests/plugins/fixture.h
tests_plugins_badflags_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_badflags_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_badflags_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_badmagic_so_SOURCES = tests/plugins/badmagic.c tests/plugins/fixture.h
tests_plugins_badmagic_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_badmagic_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_badmagic_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_badminor_so_SOURCES = tests/plugins/badminor.c tests/plugins/fixture.h
tests_plugins_badminor_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_badminor_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_badminor_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_badname_so_SOURCES = tests/plugins/badname.c tests/plugins/fixture.h
tests_plugins_badname_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_badname_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_badname_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_badsize_so_SOURCES = tests/plugins/badsize.c tests/plugins/fixture.h
tests_plugins_badsize_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_badsize_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_badsize_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_blocking_so_SOURCES = tests/plugins/blocking.c tests/plugins/fixture.h
tests_plugins_blocking_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_blocking_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_blocking_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_cache_so_SOURCES = tests/plugins/cache.c tests/plugins/fixture.h
tests_plugins_cache_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_cache_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_cache_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_churn_so_SOURCES = tests/plugins/churn.c tests/plugins/fixture.h
tests_plugins_churn_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_churn_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_churn_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_conn_so_SOURCES = tests/plugins/conn.c tests/plugins/fixture.h
tests_plugins_conn_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_conn_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_conn_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_counterp_so_SOURCES = tests/plugins/counterp.c tests/plugins/fixture.h
tests_plugins_counterp_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_counterp_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_counterp_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_crashy_so_SOURCES = tests/plugins/crashy.c tests/plugins/fixture.h
tests_plugins_crashy_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_crashy_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_crashy_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_doublefree_so_SOURCES = tests/plugins/doublefree.c tests/plugins/fixture.h
tests_plugins_doublefree_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_doublefree_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_doublefree_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_filter_so_SOURCES = tests/plugins/filter.c tests/plugins/fixture.h
tests_plugins_filter_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_filter_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_filter_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_forward_so_SOURCES = tests/plugins/forward.c tests/plugins/fixture.h
tests_plugins_forward_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_forward_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_forward_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_hoard_so_SOURCES = tests/plugins/hoard.c tests/plugins/fixture.h
tests_plugins_hoard_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_hoard_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_hoard_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_hold_so_SOURCES = tests/plugins/hold.c tests/plugins/fixture.h
tests_plugins_hold_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_hold_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_hold_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_imports_so_SOURCES = tests/plugins/imports.c tests/plugins/fixture.h
tests_plugins_imports_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_imports_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_imports_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_leak_so_SOURCES = tests/plugins/leak.c tests/plugins/fixture.h
tests_plugins_leak_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_leak_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_leak_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_never_so_SOURCES = tests/plugins/never.c tests/plugins/fixture.h
tests_plugins_never_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_never_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_never_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_noinit_so_SOURCES = tests/plugins/noinit.c tests/plugins/fixture.h
tests_plugins_noinit_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_noinit_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_noinit_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_norequest_so_SOURCES = tests/plugins/norequest.c tests/plugins/fixture.h
tests_plugins_norequest_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_norequest_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_norequest_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_nosymbol_so_SOURCES = tests/plugins/nosymbol.c
tests_plugins_nosymbol_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_nosymbol_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_nosymbol_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_overlimit_so_SOURCES = tests/plugins/overlimit.c tests/plugins/fixture.h
tests_plugins_overlimit_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_overlimit_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_overlimit_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_reconf_so_SOURCES = tests/plugins/reconf.c tests/plugins/fixture.h
tests_plugins_reconf_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_reconf_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_reconf_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_sick_so_SOURCES = tests/plugins/sick.c tests/plugins/fixture.h
tests_plugins_sick_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_sick_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_sick_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_slow_so_SOURCES = tests/plugins/slow.c tests/plugins/fixture.h
tests_plugins_slow_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_slow_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_slow_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_stream_so_SOURCES = tests/plugins/stream.c tests/plugins/fixture.h
tests_plugins_stream_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_stream_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_stream_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_stubborn_so_SOURCES = tests/plugins/stubborn.c tests/plugins/fixture.h
tests_plugins_stubborn_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_stubborn_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_stubborn_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_thread_so_SOURCES = tests/plugins/thread.c tests/plugins/fixture.h
tests_plugins_thread_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_thread_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_thread_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_upload_so_SOURCES = tests/plugins/upload.c tests/plugins/fixture.h
tests_plugins_upload_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_upload_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_upload_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_wrapper_so_SOURCES = tests/plugins/wrapper.c tests/plugins/fixture.h
tests_plugins_wrapper_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_wrapper_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_wrapper_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_workload_so_SOURCES = tests/plugins/workload.c tests/plugins/fixture.h
tests_plugins_workload_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_workload_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_workload_so_LDFLAGS = $(MODULE_LDFLAGS)
tests_plugins_wrong_so_SOURCES = tests/plugins/wrong.c tests/plugins/fixture.h
tests_plugins_wrong_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_wrong_so_CFLAGS = $(MODULE_CFLAGS)
tests_plugins_wrong_so_LDFLAGS = $(MODULE_LDFLAGS)

tests_plugins_cxx_so_SOURCES = tests/plugins/cxx.cpp
tests_plugins_cxx_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_cxx_so_CXXFLAGS = $(MODULE_CXXFLAGS)
tests_plugins_cxx_so_LDFLAGS = $(MODULE_LDFLAGS)
# What this one is for: the flag that keeps statics apart is taken back.
tests_plugins_unique_so_SOURCES = tests/plugins/unique.cpp
tests_plugins_unique_so_CPPFLAGS = $(MODULE_CPPFLAGS)
tests_plugins_unique_so_CXXFLAGS = $(MODULE_CXXFLAGS) -fgnu-unique -fvisibility=default
tests_plugins_unique_so_LDFLAGS = $(MODULE_LDFLAGS)
