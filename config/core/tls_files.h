/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/build.h"
#include "user/tls/identity.h"
#include "user/tls/trust.h"

/*
 * Certificates, keys and authorities that a configuration names by path. A path is read once in a load,
 * however many listeners and backends name it; what was made of it belongs to the snapshot. Every path is
 * noted in the report with what was seen of it, also where it cannot be read: a change of it is a reason
 * for a reload.
 */
struct tls_files {
	struct snapshot *snapshot; /* borrowed */
	const struct hash_map *previous; /* borrowed: identities of the snapshot in force */
	struct name_map identities; /* "cert\nkey", or the name of an object, to struct tls_entry */
	struct name_map trusts; /* path to struct tls_entry; "": those of the system */
	struct name_map paths; /* noted */
	bool has_secrets; /* the configuration itself holds keys: its texts are wiped */
};

struct stat;

/* Identity, size, and the times of the last changes of it and of who may read it. */
uint64_t config_file_signature(const struct stat *status);

/*
 * previous: the snapshot in force, or NULL. Identities whose files have not changed since are taken from
 * it: of ten thousand certificates a reload reads the one that is new.
 */
void tls_files_init(struct tls_files *files, struct snapshot *snapshot, const struct snapshot *previous);
/* All is loaded: the snapshot keeps what the next load may take from it. */
void tls_files_keep(struct tls_files *files);
void tls_files_done(struct tls_files *files); /* what it loaded stays */

/*
 * NULL after an error, reported at the node of the file that is wrong, each time it is asked for. Nodes may
 * be NULL: no place is known.
 */
const struct tls_identity *tls_files_identity(struct decoder *d, const struct yaml_node *cert_node,
					      struct span cert_path, const struct yaml_node *key_node,
					      struct span key_path);
const struct tls_trust *tls_files_trust(struct decoder *d, const struct yaml_node *node, struct span path);
/* The authorities that the host believes. */
const struct tls_trust *tls_files_system_trust(struct decoder *d, const struct yaml_node *node);

/*
 * The same from texts, which the caller wipes, and without an error: NULL, and the sentence that says why
 * (empty: no memory). name: of the object that has the texts, without a line break, once a load.
 */
const struct tls_identity *tls_files_identity_text(struct decoder *d, struct span name, struct span cert,
						   struct span key, struct span *ret_sentence);
/* What the snapshot in force has for the object of that name: it stays in use. NULL: nothing, no memory. */
const struct tls_identity *tls_files_identity_before(struct decoder *d, struct span name);
const struct tls_trust *tls_files_trust_text(struct decoder *d, struct span ca, struct span *ret_sentence);
const struct tls_trust *tls_files_system(struct decoder *d, struct span *ret_sentence);
