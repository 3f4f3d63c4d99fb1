/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "user/base/text.h"

/*
 * Names of addresses in this process: functions of the program from its symbol table, others from dladdr(3).
 */
struct symbols;

/* NULL without a symbol table or memory: names are numbers then. */
struct symbols *symbols_open(void);
void symbols_free(struct symbols *symbols);
/* "stream_run+0x1c", "libc.so.6 abort+0x10" or "0x7f…". symbols may be NULL. */
void symbols_name(const struct symbols *symbols, uintptr_t address, struct text *out);
