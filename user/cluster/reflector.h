/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/cluster/api.h"
#include "user/cluster/store.h"

/*
 * Keeps the store in step with one kind of objects: a list, then a watch, each again when it ends.
 *
 *   REFLECTOR_LIST ----> REFLECTOR_WATCH: in step
 *     ^  |                   |
 *     |  +--> REFLECTOR_WAIT <+   a failure: again after a pause, from the last version or with a new list
 *     |           |
 *     +-----------+               404: the next version of kinds.def, or the server does not know the kind
 *
 * The list comes as the first events of a watch (sendInitialEvents) where the server can do that, else in
 * pages. Objects that a new list does not have are removed when it is complete, so that a failure in the
 * middle changes nothing.
 */
enum reflector_state {
	REFLECTOR_STOPPED,
	REFLECTOR_WAIT, /* until the timer */
	REFLECTOR_STREAM, /* a list as events of a watch */
	REFLECTOR_PAGES, /* a list in pages */
	REFLECTOR_WATCH,
};

struct reflector {
	struct api *api; /* borrowed */
	struct store *store; /* borrowed */
	enum kind_id kind;
	enum reflector_state state;
	struct api_request request;
	struct timer timer; /* WAIT: the next attempt; else: nothing has been received for long */
	struct text data; /* a line, or a page */
	unsigned version_index; /* into the versions of kinds.def */
	struct text position; /* resourceVersion to watch from; empty: list */
	struct text page; /* token of the next page; empty: the first */
	uint64_t round; /* number of the current list */
	uint64_t retry_ms; /* the least pause that the server asks for; 0: none */
	uint32_t failures; /* in a row */
	bool is_in_step; /* a list was complete once */
	bool is_absent; /* the server does not know the kind */
	bool has_no_stream; /* the server cannot list as events */
	bool is_expired; /* the position is too old */
	bool is_full; /* the refusal is for lack of space */
	const char *refusal; /* why on_data has ended the request; NULL: it has not */
	uint64_t away_us; /* wall clock of the first failure in a row; 0: none */
	struct text answer; /* the sentence of the server's last Status */
	struct text problem; /* why the last attempt failed, for people; empty: it did not */
	void (*on_step)(struct reflector *reflector); /* the store or the state has changed */
	void *context; /* for on_step */
};

void reflector_init(struct reflector *reflector, struct store *store, enum kind_id kind);
/* After reflector_stop(). */
void reflector_done(struct reflector *reflector);
void reflector_start(struct reflector *reflector, struct api *api);
/* Keeps the position: the next start continues from there. */
void reflector_stop(struct reflector *reflector);
