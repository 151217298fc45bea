# SPDX-License-Identifier: LGPL-2.1-or-later
# What ./dev faults preloads; it replaces functions by name and needs nothing but the C library.

check_PROGRAMS += tests/faults/inject.so
tests_faults_inject_so_SOURCES = tests/faults/inject.c tests/faults/inject-calls.c tests/faults/inject.h
tests_faults_inject_so_CPPFLAGS = -D_GNU_SOURCE
tests_faults_inject_so_CFLAGS = -std=gnu17 -O2 -g -fPIC -fno-optimize-sibling-calls -Wall -Wextra
tests_faults_inject_so_LDFLAGS = -shared -fPIC
EXTRA_DIST += tests/faults/faults tests/faults/page.py tests/faults/subject.py tests/faults/scene.py \
	tests/faults/scene_request.py tests/faults/scene_command.py tests/faults/scene_reload.py tests/faults/scene_life.py \
	tests/faults/scenes.py tests/faults/known
