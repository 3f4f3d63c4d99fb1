/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"

/*
 * Life of a snapshot. Workers share it after it is compiled; every stream holds a reference to the one it
 * started with. The last reference frees it.
 */

struct snapshot *snapshot_create(void); /* empty, one reference; NULL without memory */
struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot *snapshot); /* NULL allowed */

/*
 * Runs fn(object) when the snapshot is freed, in reverse order of registration; for compiled objects outside
 * the arena. 0 or -ENOMEM (then fn is not called: the caller still owns the object).
 */
int snapshot_add_destructor(struct snapshot *snapshot, void (*fn)(void *object), void *object);
