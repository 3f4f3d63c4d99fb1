/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/schema.h"

/*
 * TLS as rows: `tls` of a listener, `frontendPolicies.tls` and `backendTLS`. The files they name are read at
 * once (config/core/tls_files.h): what cannot be carried out is an error of its key.
 */
extern const struct schema listener_tls_schema; /* struct listener_tls */
extern const struct schema frontend_tls_schema; /* struct frontend_tls */
extern const struct schema backend_tls_schema; /* struct backend_tls */

/* TLS to a backend with nothing said about it: the authorities of the system. NULL: reported. */
const struct backend_tls *tls_value_default(struct decoder *d, const struct yaml_node *node);

/*
 * What the words mean, into *params, which has none yet. `node` has the lists, under these keys; what is
 * wrong is reported at its element. False: something was.
 */
struct tls_value_keys {
	const char *ciphers;
	const char *groups;
	const char *alpn;
};
bool tls_value_params(struct decoder *d, const struct yaml_node *node, const struct tls_value_keys *keys,
		      const struct tls_words *words, struct tls_params *params);
