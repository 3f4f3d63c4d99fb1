/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"
#include "user/base/json_writer.h"

/* Writes the members of an object by its schema rows. */
void dump_rows(struct json_writer *w, const struct schema *schema, const void *object);

/* Writes the reference as configured: member service, backend or invalid. NULL: invalid. */
void dump_backend_reference(struct json_writer *w, const struct backend_ref *ref);

/* Writes "10m0s": config/core/engine/duration.h. */
void dump_duration(struct json_writer *w, const char *key, uint64_t ns);
/* Writes a fraction with at least one decimal: 0.5, 1.0. */
void dump_share(struct json_writer *w, const char *key, uint32_t per_million);
/* "503 Service Unavailable", "517 <unknown status code>". */
#define STATUS_TEXT_BYTES 64
size_t status_text(uint16_t status, char out[STATUS_TEXT_BYTES]);
