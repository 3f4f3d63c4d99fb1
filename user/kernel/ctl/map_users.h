/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "user/base/text.h"

/*
 * Appends one line: the processes that have a descriptor of this BPF map, except this process. /proc shows
 * only the own pid namespace, and descriptors of other users only to root; the line says how many processes
 * could not be inspected.
 */
void map_users_describe(struct text *out, uint32_t map_id);
