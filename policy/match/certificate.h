/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"

/*
 * Chooses the certificates of a listener by the server name in the client's hello. Built once when a
 * snapshot is compiled; a look-up walks the name once, independent of the number of certificates.
 */

/* at most one identity per key type (RSA, EC, Ed25519, Ed448) */
enum { CERTIFICATE_KEYS = 4 };

/*
 * Fills tls->names from the subjectAltNames of its identities; leaves it empty if there is no choice. 0 or
 * -ENOMEM.
 */
int certificate_names_build(struct listener_tls *tls, struct arena *arena);

/*
 * Returns the number of identities for a name, in the order of the configuration, one per key type: those
 * with the exact name, otherwise those with a wildcard for its first label (RFC 6125 6.4.3), otherwise those
 * that have the names of the first identity. 0: the listener has no identity. `sni` in any case; empty: the
 * client sent none.
 */
uint32_t certificate_choose(const struct listener_tls *tls, struct span sni,
			    const struct tls_identity *ret_list[CERTIFICATE_KEYS]);
