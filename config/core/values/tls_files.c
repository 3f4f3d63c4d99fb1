/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/tls_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/snapshot.h"
#include "user/base/hash.h"
#include "user/base/limits.h"
#include "user/base/mem.h"

enum { SHARED_BLOCK_BYTES = 1024 };

/* An identity, shared with the previous snapshot if its files have not changed. */
struct tls_shared {
	atomic_uint refs;
	struct arena arena; /* memory of the certificate's texts */
	struct tls_identity *identity;
};

/* The result of reading a file or a pair. */
struct tls_entry {
	const void *object; /* NULL: refused */
	struct tls_shared *shared; /* pairs: one reference of the snapshot */
	uint64_t cert_signature; /* of the files when they were read */
	uint64_t key_signature;
	struct span sentence; /* the reason */
	bool is_key; /* the reason concerns the key */
};

void tls_files_init(struct tls_files *files, struct snapshot *snapshot, const struct snapshot *previous)
{
	*files = (struct tls_files){ .snapshot = snapshot,
				     .previous = previous ? previous->tls_identities : NULL };
}

static void map_drop(void *map)
{
	hash_map_free(map);
}

/* Stores the identities in the snapshot for the next load. */
void tls_files_keep(struct tls_files *files)
{
	struct hash_map *map = files->identities.map;

	if (!map || snapshot_add_destructor(files->snapshot, map_drop, map) < 0)
		return;
	files->snapshot->tls_identities = map;
	files->identities.map = NULL;
}

void tls_files_done(struct tls_files *files)
{
	name_map_done(&files->identities);
	name_map_done(&files->trusts);
	name_map_done(&files->paths);
}

/* -------------------------------------------------------------------------------- reading */

uint64_t config_file_signature(const struct stat *status)
{
	uint64_t hash = hash_mix((uint64_t)status->st_ino, (uint64_t)status->st_dev);

	hash = hash_mix(hash, (uint64_t)status->st_size);
	hash = hash_mix(hash, (uint64_t)status->st_ctim.tv_sec);
	hash = hash_mix(hash, (uint64_t)status->st_ctim.tv_nsec);
	hash = hash_mix(hash, (uint64_t)status->st_mtim.tv_sec);
	return hash_mix(hash, (uint64_t)status->st_mtim.tv_nsec);
}

/* A file in memory. It may contain a key, so it is wiped. */
struct tls_text {
	char *bytes; /* owner, heap */
	size_t size;
	size_t len;
};

static void text_wipe(struct tls_text *text)
{
	if (text->bytes)
		tls_wipe(text->bytes, text->size);
	hg_free(text->bytes);
	*text = (struct tls_text){ 0 };
}

static void note_path(struct decoder *d, struct span path, uint64_t signature)
{
	struct tls_files *files = d->files;

	if (name_map_get(&files->paths, path))
		return;
	if (name_map_put(d, &files->paths, path, files))
		config_report_file(d->report, path, signature);
}

static struct span sentence_of_errno(struct decoder *d, struct span path, int error)
{
	if (error == EACCES)
		return decode_text(d,
				   "%s may not be read by the user that the gateway runs as (uid %u), who "
				   "has no right to read the files of others: give it to that user, or to a "
				   "group of it",
				   QUOTE(path), (unsigned)geteuid());
	return decode_text(d, "%s cannot be read: %s; correct the path, or the rights of the file",
			   QUOTE(path), strerrordesc_np(error));
}

static ssize_t read_all(int fd, char *bytes, size_t size)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, bytes + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

/* One more byte than expected shows that the file has grown. */
static bool read_text(struct decoder *d, int fd, struct span path, size_t bytes, struct tls_text *ret,
		      struct span *sentence)
{
	ssize_t len;

	*ret = (struct tls_text){ .bytes = hg_malloc(bytes + 1), .size = bytes + 1 };
	if (!ret->bytes) {
		d->failed = true;
		return false;
	}
	len = read_all(fd, ret->bytes, ret->size);
	if (len < 0)
		*sentence = sentence_of_errno(d, path, (int)-len);
	else if ((size_t)len != bytes)
		*sentence = decode_text(d, "%s changed while it was read; write another file and rename it",
					QUOTE(path));
	ret->len = len < 0 ? 0 : (size_t)len;
	/* Skip a byte order mark, which would hide the first line. */
	if (ret->len >= 3 && memcmp(ret->bytes, "\xef\xbb\xbf", 3) == 0)
		memset(ret->bytes, '\n', 3);
	return !sentence->len;
}

/*
 * Checked before opening, because opening a device may have effects, and after, because the file may have
 * been replaced.
 */
static struct span check_kind(struct decoder *d, struct span path, const struct stat *status)
{
	if (!S_ISREG(status->st_mode))
		return decode_text(d, "%s is no regular file; write the path of one", QUOTE(path));
	if (status->st_size > LIMIT_TLS_FILE_BYTES)
		return decode_text(d, "%s is larger than %d bytes; write the path of a smaller file",
				   QUOTE(path), LIMIT_TLS_FILE_BYTES);
	return (struct span){ 0 };
}

/* False: *ret_sentence has the reason, or there is no memory. */
static bool file_read(struct decoder *d, struct span path, struct tls_text *ret, struct span *sentence,
		      uint64_t *ret_signature)
{
	struct stat status;
	bool is_valid;
	int fd;

	*ret_signature = 0;
	if (stat(path.data, &status) < 0) {
		note_path(d, path, 0);
		*sentence = sentence_of_errno(d, path, errno);
		return false;
	}
	*sentence = check_kind(d, path, &status);
	fd = sentence->len ? -1 : open(path.data, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 && !sentence->len)
		*sentence = sentence_of_errno(d, path, errno);
	if (fd >= 0 && fstat(fd, &status) == 0)
		*sentence = check_kind(d, path, &status);
	*ret_signature = config_file_signature(&status);
	note_path(d, path, *ret_signature);
	is_valid = !sentence->len && read_text(d, fd, path, (size_t)status.st_size, ret, sentence);
	if (fd >= 0)
		close(fd);
	return is_valid && !d->failed;
}

bool tls_files_text(struct decoder *d, const struct yaml_node *node, struct span path, char **ret_bytes,
		    size_t *ret_size, struct span *ret_text)
{
	struct tls_text text = { 0 };
	struct span sentence = { 0 };
	uint64_t signature;

	if (!file_read(d, path, &text, &sentence, &signature)) {
		text_wipe(&text);
		if (sentence.len)
			config_error(d->report, node, "%.*s", SPAN_FMT(sentence));
		return false;
	}
	*ret_bytes = text.bytes;
	*ret_size = text.size;
	*ret_text = span_of(text.bytes, text.len);
	return true;
}

/* -------------------------------------------------------------------------------- identities and trusts */

static void shared_unref(void *object)
{
	struct tls_shared *shared = object;

	if (!shared || atomic_fetch_sub_explicit(&shared->refs, 1, memory_order_acq_rel) > 1)
		return;
	tls_identity_free(shared->identity);
	arena_done(&shared->arena);
	hg_free(shared);
}

static struct tls_shared *shared_new(void)
{
	struct tls_shared *shared = hg_calloc(1, sizeof(*shared));

	if (!shared)
		return NULL;
	atomic_init(&shared->refs, 1);
	arena_init(&shared->arena, SHARED_BLOCK_BYTES);
	return shared;
}

static void trust_drop(void *trust)
{
	tls_trust_free(trust);
}

/* Passes the object to the snapshot. */
static bool keep(struct decoder *d, struct tls_entry *entry, void (*drop)(void *object), void *object)
{
	entry->object = object;
	if (snapshot_add_destructor(d->files->snapshot, drop, object) == 0)
		return true;
	drop(object);
	entry->object = NULL;
	d->failed = true;
	return false;
}

static bool note_result(struct decoder *d, int result, const struct tls_fault *fault, struct tls_entry *entry)
{
	if (result == -ENOMEM)
		d->failed = true;
	else if (result < 0)
		entry->sentence = decode_text(d, "%s", fault->text);
	return result == 0;
}

static void name_file(struct decoder *d, struct span path, struct tls_entry *entry)
{
	if (entry->sentence.len)
		entry->sentence = decode_text(d, "%s: %.*s", QUOTE(path), SPAN_FMT(entry->sentence));
}

/* Takes one reference. */
static void keep_shared(struct decoder *d, struct tls_entry *entry, struct tls_shared *shared)
{
	if (keep(d, entry, shared_unref, shared)) {
		entry->shared = shared;
		entry->object = shared->identity;
	}
}

static void pair_load(struct decoder *d, struct span cert, struct span key, struct tls_entry *entry)
{
	struct tls_shared *shared = shared_new();
	struct tls_fault fault = { "" };

	if (!shared) {
		d->failed = true;
		return;
	}
	if (note_result(d, tls_identity_load(cert, key, &shared->arena, &shared->identity, &fault), &fault,
			entry))
		keep_shared(d, entry, shared);
	else
		shared_unref(shared);
}

static void identity_load(struct decoder *d, struct span cert_path, struct span key_path,
			  struct tls_entry *entry)
{
	bool is_one = span_eq(cert_path, key_path), is_read;
	struct tls_text cert = { 0 }, key = { 0 };

	is_read = file_read(d, cert_path, &cert, &entry->sentence, &entry->cert_signature);
	entry->key_signature = entry->cert_signature;
	if (is_read && !is_one) {
		is_read = file_read(d, key_path, &key, &entry->sentence, &entry->key_signature);
		entry->is_key = !is_read;
	}
	if (is_read) {
		pair_load(d, span_of(cert.bytes, cert.len),
			  is_one ? span_of(cert.bytes, cert.len) : span_of(key.bytes, key.len), entry);
		name_file(d, cert_path, entry);
	}
	text_wipe(&cert);
	text_wipe(&key);
}

static uint64_t signature_now(struct span path)
{
	struct stat status;

	return stat(path.data, &status) < 0 ? 0 : config_file_signature(&status);
}

static void entry_share(struct decoder *d, struct tls_entry *entry, const struct tls_entry *old)
{
	entry->cert_signature = old->cert_signature;
	entry->key_signature = old->key_signature;
	atomic_fetch_add_explicit(&old->shared->refs, 1, memory_order_relaxed);
	keep_shared(d, entry, old->shared);
}

/* Reuses the identity of the previous configuration if neither file has changed. */
static bool identity_reuse(struct decoder *d, struct span name, struct span cert_path, struct span key_path,
			   struct tls_entry *entry)
{
	const struct hash_map *previous = d->files->previous;
	const struct tls_entry *old = previous ? hash_map_get(previous, name) : NULL;

	if (!old || !old->shared || signature_now(cert_path) != old->cert_signature ||
	    signature_now(key_path) != old->key_signature)
		return false;
	note_path(d, cert_path, old->cert_signature);
	note_path(d, key_path, old->key_signature);
	entry_share(d, entry, old);
	return true;
}

static void trust_load(struct decoder *d, struct span path, struct tls_entry *entry)
{
	struct tls_trust *trust = NULL;
	struct tls_fault fault = { "" };
	struct tls_text text = { 0 };
	int result = 1;

	if (!path.len)
		result = tls_trust_load_system(d->arena, &trust, &fault);
	else if (file_read(d, path, &text, &entry->sentence, &entry->cert_signature))
		result = tls_trust_load(span_of(text.bytes, text.len), d->arena, &trust, &fault);
	text_wipe(&text);
	if (result > 0)
		return;
	if (note_result(d, result, &fault, entry))
		keep(d, entry, trust_drop, trust);
	name_file(d, path.len ? path : SPAN("the authorities of the system"), entry);
}

const struct tls_trust *tls_files_trust_text(struct decoder *d, struct span ca, struct span *ret_sentence)
{
	struct tls_trust *trust = NULL;
	struct tls_entry entry = { 0 };
	struct tls_fault fault = { "" };

	if (note_result(d, tls_trust_load(ca, d->arena, &trust, &fault), &fault, &entry))
		keep(d, &entry, trust_drop, trust);
	*ret_sentence = entry.sentence;
	return entry.object;
}

static struct tls_entry *entry_new(struct decoder *d, struct name_map *map, struct span name)
{
	struct tls_entry *entry = decode_take(d, 1, sizeof(*entry));

	name = decode_keep(d, name);
	return entry && name.data && name_map_put(d, map, name, entry) ? entry : NULL;
}

const struct tls_identity *tls_files_identity_text(struct decoder *d, struct span name, struct span cert,
						   struct span key, struct span *ret_sentence)
{
	struct tls_entry one = { 0 }, *entry = NULL;

	pair_load(d, cert, key, &one);
	*ret_sentence = one.sentence;
	/* Keep it for the next load; after a failure keep the previous one instead. */
	if (one.object)
		entry = entry_new(d, &d->files->identities, name);
	if (entry)
		*entry = one;
	return one.object;
}

const struct tls_identity *tls_files_identity_before(struct decoder *d, struct span name)
{
	const struct hash_map *previous = d->files->previous;
	const struct tls_entry *old = previous ? hash_map_get(previous, name) : NULL;
	struct tls_entry *entry = old ? entry_new(d, &d->files->identities, name) : NULL;

	if (!entry)
		return NULL;
	entry_share(d, entry, old);
	return entry->object;
}

const struct tls_identity *tls_files_identity(struct decoder *d, const struct yaml_node *cert_node,
					      struct span cert_path, const struct yaml_node *key_node,
					      struct span key_path)
{
	struct span name = decode_text(d, "%.*s\n%.*s", SPAN_FMT(cert_path), SPAN_FMT(key_path));
	struct tls_entry *entry = name.data ? name_map_get(&d->files->identities, name) : NULL;

	if (!entry && name.data) {
		entry = entry_new(d, &d->files->identities, name);
		if (entry && !identity_reuse(d, name, cert_path, key_path, entry))
			identity_load(d, cert_path, key_path, entry);
	}
	if (!entry)
		return NULL;
	if (entry->sentence.len)
		config_error(d->report, entry->is_key ? key_node : cert_node, "%.*s",
			     SPAN_FMT(entry->sentence));
	return entry->object;
}

static const struct tls_entry *trust_entry(struct decoder *d, struct span path)
{
	struct tls_entry *entry = name_map_get(&d->files->trusts, path);

	if (!entry) {
		entry = entry_new(d, &d->files->trusts, path);
		if (entry)
			trust_load(d, path, entry);
	}
	return entry;
}

const struct tls_trust *tls_files_trust(struct decoder *d, const struct yaml_node *node, struct span path)
{
	const struct tls_entry *entry = trust_entry(d, path);

	if (!entry)
		return NULL;
	if (entry->sentence.len)
		config_error(d->report, node, "%.*s", SPAN_FMT(entry->sentence));
	return entry->object;
}

const struct tls_trust *tls_files_system_trust(struct decoder *d, const struct yaml_node *node)
{
	return tls_files_trust(d, node, SPAN(""));
}

const struct tls_trust *tls_files_system(struct decoder *d, struct span *ret_sentence)
{
	const struct tls_entry *entry = trust_entry(d, SPAN(""));

	*ret_sentence = entry ? entry->sentence : (struct span){ 0 };
	return entry ? entry->object : NULL;
}
