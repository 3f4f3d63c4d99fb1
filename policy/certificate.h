/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"

/*
 * Which certificates of a listener are shown to a client, by the server name of its hello. Built once when a
 * snapshot is compiled; a look-up walks the name once, however many certificates there are.
 */

/* At most one identity for each kind of key (RSA, EC, Ed25519, Ed448). */
enum { CERTIFICATE_KEYS = 4 };

/*
 * Fills tls->names from the subjectAltNames of its identities. Nothing is built where there is no choice. 0
 * or -ENOMEM.
 */
int certificate_names_build(struct listener_tls *tls, struct arena *arena);

/*
 * The identities for a name, in the order of the configuration, one for each kind of key: those that have the
 * name itself, else those with the wildcard that stands for its first label (RFC 6125 6.4.3), else those that
 * have the names of the first one. Returns how many; 0: the listener has none. `sni` in any case, empty: not
 * said.
 */
uint32_t certificate_choose(const struct listener_tls *tls, struct span sni,
			    const struct tls_identity *ret_list[CERTIFICATE_KEYS]);
