/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Proves that running out of memory is survived at every allocation of a piece of code. `run` does the whole
 * thing once, frees what it made and returns 0 or -ENOMEM. It runs without a fault first and must return 0;
 * then once for each allocation it made, with that one failing. It must return -ENOMEM (or 0, where the code
 * promises to go on without). Leaks are found by the asan profile.
 *
 * Calls fail_msg() of cmocka. Returns how many allocations were made to fail.
 */
unsigned long alloc_fail_each(int (*run)(void *context), void *context);
