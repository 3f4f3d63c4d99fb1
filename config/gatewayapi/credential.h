/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"
#include "user/tls/identity.h"
#include "user/tls/trust.h"

/*
 * Certificates with keys from Secrets, and authorities from ConfigMaps or Secrets. Each object is read once,
 * independent of the number of references to it. No message contains data of a Secret: it names the object
 * and the error.
 */

/* The place of a reference to such an object. */
struct credential_place {
	const struct manifest_object *from;
	bool is_local; /* only objects of its own namespace */
	/* Condition reasons of Gateway API, with which the messages start. */
	const char *invalid; /* "InvalidCertificateRef" */
	const char *invalid_kind;
	const char *effect; /* effect of an invalid reference: "…; `effect`" */
};

/*
 * `node` is one reference. NULL: a warning at `node` and *ret_why have the reason. If the pair is invalid,
 * returns the one that the current snapshot has from the same object, with a warning. *ret_source: the
 * object's name in the dump.
 */
const struct tls_identity *credential_identity(struct manifests *m, const struct yaml_node *node,
					       const struct credential_place *place, struct span *ret_source,
					       struct span *ret_why);
/*
 * `list` has references, by default to ConfigMaps, which together form one trust store. Returns the valid
 * ones, and warns about each invalid one; *ret_why is the reason of the first invalid one, otherwise empty.
 * NULL: none is valid.
 */
const struct tls_trust *credential_trust(struct manifests *m, const struct yaml_node *list,
					 const struct credential_place *place, struct span *ret_source,
					 struct span *ret_why);
/*
 * Returns the trust from `ca.crt` of a Secret whose certificate the object uses. NULL with an empty *ret_why
 * means that the Secret has no `ca.crt`.
 */
const struct tls_trust *credential_own_trust(struct manifests *m, const struct yaml_node *node,
					     const struct credential_place *place, struct span *ret_why);

/*
 * Calls each() for every value of a Secret or ConfigMap; as in Kubernetes, stringData overrides data. The
 * text is wiped afterwards. False: a value is invalid, which is reported at `node`, or each() returned false.
 */
bool credential_each(struct manifests *m, const struct yaml_node *node, const struct manifest_object *object,
		     bool (*each)(void *context, struct span key, struct span text), void *context);
/* The same for one value, which must be there. */
bool credential_one(struct manifests *m, const struct yaml_node *node, const struct manifest_object *object,
		    const char *key, bool (*each)(void *context, struct span key, struct span text),
		    void *context);
void credentials_done(struct manifests *m);
