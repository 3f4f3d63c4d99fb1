/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/snapshot.h"
#include "user/base/otlp_signal.h"
#include "user/callout/callouts.h"

/*
 * The records of one signal that a worker sends to a collector: collected for a second, or until a batch is
 * full, then sent by one call at a time. Nothing here waits: what a collector does not take in time is kept
 * within limits (LIMIT_EXPORT_BATCHES), or dropped and counted.
 */
struct exporter;

/* `callouts` is borrowed. NULL without memory. */
struct exporter *exporter_create(struct callouts *callouts, enum otlp_signal signal);
/* Counts what is left as dropped. Its call must have ended: exporter_finish(). NULL allowed. */
void exporter_free(struct exporter *exporter);

/* False: another record would be dropped. It is counted as dropped, and need not be written. */
bool exporter_has_room(struct exporter *exporter);
/*
 * Queues a copy of a record. `target` is of `snapshot`, which the exporter holds until everything is sent:
 * what waits goes to the collector of the newest record.
 */
void exporter_add(struct exporter *exporter, struct snapshot *snapshot, const struct otlp_target *target,
		  struct span record);

/*
 * A configuration is in force: what waits goes to `target`, of `snapshot`. NULL: there is no collector any
 * more; what the last one does not take within LIMIT_EXPORT_END_MS is dropped.
 */
void exporter_retarget(struct exporter *exporter, struct snapshot *snapshot,
		       const struct otlp_target *target);

/* From now on records are sent without delay. */
void exporter_skip_delay(struct exporter *exporter);
/*
 * Sends what is left, within LIMIT_EXPORT_END_MS. True: nothing is left; otherwise on_end(context) follows
 * once, from the loop.
 */
bool exporter_finish(struct exporter *exporter, void (*on_end)(void *context), void *context);
