/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* layer.h - is the interposed malloc family part of this build?
 *
 * MTLSD_HEAP_LAYER comes from configure (--disable-heap-layer makes it 0). AddressSanitizer and ThreadSanitizer bring
 * allocators of their own, which crash at start under another one: with them it is always 0.
 *
 * HEAP_PREFIXED is for test programs that call the heap layer directly and keep the C library's malloc for themselves.
 *
 * Threads: none. Owns: nothing.
 */
#ifdef HEAP_PREFIXED
#undef MTLSD_HEAP_LAYER
#define MTLSD_HEAP_LAYER 0
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MTLSD_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define MTLSD_SANITIZED 1
#endif
#endif
#ifndef MTLSD_SANITIZED
#define MTLSD_SANITIZED 0
#endif
#if MTLSD_SANITIZED
#undef MTLSD_HEAP_LAYER
#define MTLSD_HEAP_LAYER 0
#endif
#ifndef MTLSD_HEAP_LAYER
#define MTLSD_HEAP_LAYER 1
#endif
