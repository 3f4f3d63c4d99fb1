/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * Keys of session tickets (RFC 5077 4, RFC 8446 4.6.1). All workers start with one secret of the process and
 * advance it independently: the secret of a period is a one-way function of the previous one (HKDF), which is
 * overwritten. So workers agree without a lock, each accepts the tickets of all, and an attacker who reads
 * the memory cannot decrypt tickets of past periods.
 */
enum {
	TICKET_SECRET_BYTES = 32,
	TICKET_NAME_BYTES = 16,
	TICKET_KEY_BYTES = 32,
	TICKET_PERIOD_S = 6 * 3600, /* a ticket is accepted in its period and the next */
};

struct ticket_key {
	bool is_there;
	uint8_t name[TICKET_NAME_BYTES];
	uint8_t cipher_key[TICKET_KEY_BYTES];
	uint8_t mac_key[TICKET_KEY_BYTES];
};

struct ticket_keys {
	uint8_t secret[TICKET_SECRET_BYTES]; /* of the next period */
	uint64_t period; /* of `current` */
	struct ticket_key current;
	struct ticket_key previous;
};

/* secret: of the process. now_s: seconds since its start, by the same clock in all workers. 0 or -errno. */
int ticket_keys_init(struct ticket_keys *keys, const uint8_t secret[TICKET_SECRET_BYTES], uint64_t now_s);
/* Advances the keys to the period of now_s. 0 or -errno: then no ticket is issued. */
int ticket_keys_advance(struct ticket_keys *keys, uint64_t now_s);
/* The key with this name, or NULL. *ret_is_old: the client should get a new ticket. */
const struct ticket_key *ticket_keys_find(const struct ticket_keys *keys,
					  const uint8_t name[TICKET_NAME_BYTES], bool *ret_is_old);
void ticket_keys_wipe(struct ticket_keys *keys);
