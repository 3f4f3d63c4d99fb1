/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decodes the body of a request in parts, without copying: exact length, or strict chunked coding (RFC 9112
 * 7.1). Chunk extensions are valid but counted, because a gateway that generates its own framing never sends
 * one. Trailer lines are kept (up to BODY_TRAILER_MAX bytes) with their CRLFs for field_next.
 */
#ifndef HTTPBIN_BODY_H
#define HTTPBIN_BODY_H

#include "tests/origin/request.h"

enum body_step { BODY_MORE, BODY_DATA, BODY_END, BODY_BAD };

enum body_phase { PHASE_LENGTH, PHASE_SIZE, PHASE_DATA, PHASE_DATA_END, PHASE_TRAILER, PHASE_DONE };

#define BODY_TRAILER_MAX 16384u
#define BODY_CHUNK_LINE_MAX 4096u

struct body {
	enum body_phase phase;
	uint64_t left; /* rest of the length, or of the current chunk */
	uint64_t length; /* bytes decoded so far */
	uint64_t chunks;
	uint64_t extensions;
	struct buffer trailer; /* owner */
};

void body_start(struct body *body, const struct request *request);
/*
 * Reads framing at data up to the next result. *ret_used bytes of framing were consumed in every case.
 * BODY_DATA: *ret_size bytes of content are at data + *ret_used; report with body_take() how many were used.
 */
enum body_step body_next(struct body *body, const char *data, size_t size, size_t *ret_used, size_t *ret_size,
			 const char **ret_why);
void body_take(struct body *body, size_t size);
bool body_is_done(const struct body *body);
struct text body_trailer(const struct body *body);

#endif
