/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * Writes the entry of a stream that ends, as the accessLog policy wants it (log_entry.h). Expressions read
 * the request as the backend got it; of a tunnel, which has given its head back, and of a resumed request
 * only method, host and path, as the client sent them.
 */
void stream_log(struct stream *stream, const struct stream_record *record);

struct metric_labels; /* user/client/metric_labels.h */
/* Sets the labels that the metrics policy adds; they are in `labels`. */
void stream_add_labels(struct stream *stream, struct stream_record *record, struct metric_labels *labels);
