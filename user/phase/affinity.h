/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/stream/stream.h"

/*
 * The hash of a request's key, for consistent hashing: the same for equal keys in every gateway and at all
 * times, so it is not secret. A request that lacks a cookie which the gateway sets gets the key that the next
 * requests of its client will have. 0; -ENODATA: the request has no key; -ENOMEM.
 */
int affinity_hash(struct stream *stream, const struct affinity *affinity, uint64_t *ret_hash);
/* Adds that cookie to the response, if the backend that answers chose by it. 0 or -ENOMEM. */
int affinity_answer(struct stream *stream);
