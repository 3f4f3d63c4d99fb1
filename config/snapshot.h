/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"

/*
 * The life of a snapshot. Workers share it once it is compiled; every stream holds a reference on the one it
 * started with, the last one frees it.
 */

struct snapshot *snapshot_create(void); /* empty, one reference; NULL on no memory */
struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot *snapshot); /* NULL is fine */

/* Runs fn(object) when the snapshot is freed, in reverse order of adding; for compiled objects outside the
 * arena. 0 or -ENOMEM (then fn is not called: the caller still owns the object). */
int snapshot_add_destructor(struct snapshot *snapshot, void (*fn)(void *object), void *object);
