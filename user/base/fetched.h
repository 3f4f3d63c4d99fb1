/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * What is fixed, or fetched from a URL and replaced while the gateway runs: keys of an issuer, an OpenAPI
 * document. All threads share it. Who uses the value holds it meanwhile; it stays valid when it is replaced.
 */
struct fetched;

/* Part of the value, which is immutable. Whoever creates it sets all members. */
struct fetched_value {
	atomic_uint refs;
	uint64_t id; /* never 0; another id, another value */
	void (*free)(struct fetched_value *value); /* of the object that it is a part of */
};

struct fetched_value *fetched_value_ref(struct fetched_value *value);
void fetched_value_unref(struct fetched_value *value);

/* value: owned from then on; NULL: none yet. NULL without memory: the caller keeps the value. */
struct fetched *fetched_create(struct fetched_value *value);
struct fetched *fetched_ref(struct fetched *fetched);
void fetched_unref(struct fetched *fetched); /* NULL allowed */

/* A reference to the value, or NULL if there is none yet. */
struct fetched_value *fetched_hold(struct fetched *fetched);
/* The id of the value, 0 without one. */
uint64_t fetched_id(struct fetched *fetched);
/* Owns the value from then on. now_s: seconds since the epoch. */
void fetched_replace(struct fetched *fetched, struct fetched_value *value, uint64_t now_s);
/* When the value was fetched, seconds since the epoch; 0: never, or it is fixed. */
uint64_t fetched_s(struct fetched *fetched);

/* Something that should be in the value is not there: who fetches it should ask again. */
void fetched_miss(struct fetched *fetched);
/* True if there was one since the last call. */
bool fetched_take_miss(struct fetched *fetched);
