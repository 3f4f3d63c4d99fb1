/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/log.h"
#include "user/cluster/api.h"
#include "user/cluster/lease.h"
#include "user/cluster/store.h"

/*
 * Writes the status of the objects while this gateway holds the lease. At once after each configuration, and
 * soon after an object's status was changed by somebody, it goes through all objects and patches those whose
 * status is not as wanted, a few at a time. A patch names the version that it was made for: if the object has
 * changed meanwhile (409), the next pass makes a new one. While the server refuses patches, the pause before
 * each pass doubles, up to STATUS_PAUSE_MAX_MS; a new configuration ends that.
 */
enum {
	STATUS_WRITES = 8,
	STATUS_PAUSE_MS = 50,
	STATUS_REFUSED_MS = 500, /* after a pass with a patch that the server refused */
	STATUS_PAUSE_MAX_MS = 64 * 1000,
};

struct status_writer;

struct status_write {
	struct api_request request;
	struct status_writer *writer;
	struct text path; /* of the object that is being written */
};

struct status_writer {
	struct api *api; /* borrowed; NULL: stopped */
	struct store *store; /* borrowed */
	const struct cluster_lease *lease; /* borrowed */
	struct text wanted; /* {"items": [...]}, checked */
	struct span rest; /* of `items`: what this pass has still to do */
	bool is_walking; /* a pass is under way */
	bool is_stale; /* a new pass is needed */
	struct timer timer; /* the next pass */
	struct status_write writes[STATUS_WRITES];
	uint64_t written; /* patches that the server took */
	uint64_t failed;
	uint32_t bad_passes; /* in a row: with a patch that the server did not take */
	bool is_bad; /* such is the current pass, or the last one */
	bool is_refused; /* and not because an object has changed or is gone */
	struct log_rate rate;
};

void status_writer_init(struct status_writer *writer, struct store *store, const struct cluster_lease *lease);
void status_writer_done(struct status_writer *writer);
void status_writer_start(struct status_writer *writer, struct api *api);
void status_writer_stop(struct status_writer *writer);
/*
 * The status of all objects as the gateway sees them: {"items": [{apiVersion, kind, metadata, status}, ...]}.
 * Copies it.
 */
void status_writer_want(struct status_writer *writer, struct span items);
/* A status may have been changed by another writer. */
void status_writer_look(struct status_writer *writer);
