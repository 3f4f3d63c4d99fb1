/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/base/buf.h"
#include "user/base/otlp_signal.h"

/*
 * Messages of OTLP: ExportTraceServiceRequest and ExportLogsServiceRequest, which have the same numbers down
 * to their records, and their responses (opentelemetry-proto 1, collector/{trace,logs}/v1).
 */

/* The path of the method of gRPC. */
struct span otlp_method(enum otlp_signal signal);
/* True: another record, however long, fits into LIMIT_EXPORT_BATCH_BYTES. */
bool otlp_has_room(const struct buf *records);
/* Appends an encoded span or log record as it stands in the message. 0, -ENOMEM or -ENOBUFS. */
int otlp_append_record(struct buf *records, struct span record);
/* Writes the message of records that were appended so. 0, -ENOMEM or -ENOBUFS. */
int otlp_write_message(struct buf *out, const struct otlp_target *target, struct span records);
/* How many records the response to it rejects (partial_success); 0: none, or it says nothing. */
uint64_t otlp_rejected(struct span response);
