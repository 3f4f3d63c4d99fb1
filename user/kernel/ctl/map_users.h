/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "user/base/text.h"

/*
 * Appends one line: which processes have a descriptor of this BPF map, this process left out. /proc shows
 * those of the own process namespace, and the descriptors of other users to root only; the line says how many
 * were not looked at.
 */
void map_users_describe(struct text *out, uint32_t map_id);
