/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/build.h"
#include "user/tls/identity.h"
#include "user/tls/trust.h"

/*
 * Certificates, keys and authorities that a configuration names by path. A load reads each path once,
 * independent of the number of listeners and backends that name it; the snapshot owns the result. The report
 * has every path with the status of its file, even if it cannot be read: a change of the file causes a
 * reload.
 */
struct tls_files {
	struct snapshot *snapshot; /* borrowed */
	const struct hash_map *previous; /* borrowed: identities of the current snapshot */
	struct name_map identities; /* "cert\nkey", or the name of an object, to struct tls_entry */
	struct name_map trusts; /* path to struct tls_entry; "": those of the system */
	struct name_map paths; /* already in the report */
	bool has_secrets; /* the configuration contains keys: its texts are wiped */
};

struct stat;

/* Hash of device, inode, size, modification time and status change time. */
uint64_t config_file_signature(const struct stat *status);

/*
 * previous: the current snapshot, or NULL. Takes identities from it if their files have not changed: with
 * ten thousand certificates, a reload reads only the new one.
 */
void tls_files_init(struct tls_files *files, struct snapshot *snapshot, const struct snapshot *previous);
/* After the load: the snapshot keeps the identities that the next load may reuse. */
void tls_files_keep(struct tls_files *files);
void tls_files_done(struct tls_files *files); /* the loaded objects stay */

/*
 * NULL after an error, which every call reports at the node of the wrong file. Nodes may be NULL: no place
 * is known.
 */
const struct tls_identity *tls_files_identity(struct decoder *d, const struct yaml_node *cert_node,
					      struct span cert_path, const struct yaml_node *key_node,
					      struct span key_path);
const struct tls_trust *tls_files_trust(struct decoder *d, const struct yaml_node *node, struct span path);
/* The certificate authorities of the system. */
const struct tls_trust *tls_files_system_trust(struct decoder *d, const struct yaml_node *node);

/*
 * The content of another file, which is watched likewise: htpasswd, keys. The caller wipes and frees the
 * bytes with tls_wipe() and hg_free(). False: reported.
 */
bool tls_files_text(struct decoder *d, const struct yaml_node *node, struct span path, char **ret_bytes,
		    size_t *ret_size, struct span *ret_text);

/*
 * The same from texts, which the caller wipes, without reporting: NULL, and the reason in *ret_sentence
 * (empty: no memory). name: of the object with the texts, without a line break, used once per load.
 */
const struct tls_identity *tls_files_identity_text(struct decoder *d, struct span name, struct span cert,
						   struct span key, struct span *ret_sentence);
/*
 * Returns the identity that the current snapshot has for the object of that name, which then stays in use.
 * NULL: none, or no memory.
 */
const struct tls_identity *tls_files_identity_before(struct decoder *d, struct span name);
const struct tls_trust *tls_files_trust_text(struct decoder *d, struct span ca, struct span *ret_sentence);
const struct tls_trust *tls_files_system(struct decoder *d, struct span *ret_sentence);
