/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model_status.h"
#include "user/base/arena.h"

/* Conditions of Kubernetes objects (config/model_status.h). */

const char *condition_name(enum condition_type type);

/* Sets a condition to True, unless it is set. */
void condition_hold(struct conditions *conditions, enum condition_type type, const char *reason,
		    struct span message);
/*
 * Sets a condition to False with a text that begins with its reason, as in "InvalidKind: objects of …", and
 * is copied into the arena. A text without one has the reason `fallback`. False: no memory.
 */
bool condition_fail_text(struct arena *arena, struct conditions *conditions, enum condition_type type,
			 struct span text, const char *fallback);
