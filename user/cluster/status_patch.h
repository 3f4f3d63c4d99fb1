/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/text.h"

/*
 * The change that brings the status of a stored object to what this gateway has found. All texts are checked
 * JSON. Pure: the time is an argument.
 *
 *   - Conditions keep their lastTransitionTime while their status stays.
 *   - What other controllers wrote stays: conditions of other types, and entries of parents[] and ancestors[]
 *     with another controllerName. These lists are atomic for an API server, so that they have to be sent
 *     whole.
 */

/*
 * Appends the new status to *out. wanted: {"conditions": ..., ...} without lastTransitionTime; stored: the
 * status as the server has it, may be empty. now: RFC 3339. Returns false, with nothing appended, if the
 * stored status is the same.
 */
bool status_patch(struct text *out, struct span wanted, struct span stored, struct span now);
/* True if two JSON values mean the same: blanks and the order of members do not count. */
bool json_is_same(struct span a, struct span b);
/* True if `whole` has everything of `part`: objects may have more members, lists have as many elements. */
bool json_has(struct span whole, struct span part);
