/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/match/certificate.h"

#include <errno.h>

#include "policy/match/host_index.h"

/* Certificates with the same name: the first one of each key type. */
struct certificate_group {
	const struct tls_identity *list[CERTIFICATE_KEYS];
	uint32_t count;
};

struct certificate_names {
	struct host_index *hosts;
	struct certificate_group *group_list; /* by host_bucket.index */
	struct certificate_group first; /* for unknown names */
};

/* Returns "RSA" for "RSA 2048". */
static struct span key_kind(const struct tls_identity *identity)
{
	struct span rest = identity->certificate.key, kind = { 0 };

	span_split(&rest, ' ', &kind);
	return kind;
}

static void group_add(struct certificate_group *group, const struct tls_identity *identity)
{
	for (uint32_t i = 0; i < group->count; i++)
		if (span_eq(key_kind(group->list[i]), key_kind(identity)))
			return;
	if (group->count < CERTIFICATE_KEYS)
		group->list[group->count++] = identity;
}

/* False for the patterns "*" and "", and for wildcards within a label. */
static bool is_host_pattern(struct span name)
{
	struct span rest = span_from(name, span_starts(name, SPAN("*.")) ? 2 : 0);

	return rest.len && span_find(rest, '*') < 0;
}

static bool has_name(const struct tls_certificate *certificate, struct span name)
{
	for (uint32_t i = 0; i < certificate->name_count; i++)
		if (span_eq_nocase(certificate->name_list[i], name))
			return true;
	return false;
}

/* Same names, probably another key type: clients without SNI may need that one. */
static bool has_same_names(const struct tls_certificate *a, const struct tls_certificate *b)
{
	for (uint32_t i = 0; i < a->name_count; i++)
		if (!has_name(b, a->name_list[i]))
			return false;
	return a->name_count == b->name_count;
}

static void names_add(struct certificate_names *names, const struct tls_identity *identity,
		      const struct tls_identity *first)
{
	const struct tls_certificate *certificate = &identity->certificate;

	for (uint32_t i = 0; i < certificate->name_count; i++)
		if (is_host_pattern(certificate->name_list[i]))
			group_add(&names->group_list[host_index_add(names->hosts, certificate->name_list[i])
							     ->index],
				  identity);
	if (has_same_names(&first->certificate, certificate))
		group_add(&names->first, identity);
}

int certificate_names_build(struct listener_tls *tls, struct arena *arena)
{
	struct certificate_names *names;
	uint32_t total = 0;

	if (tls->identity_count < 2)
		return 0;
	for (uint32_t i = 0; i < tls->identity_count; i++)
		total += tls->identity_list[i]->certificate.name_count;
	names = arena_take(arena, sizeof(*names));
	if (!names)
		return -ENOMEM;
	names->hosts = host_index_create(arena, total);
	names->group_list = arena_take(arena, total * sizeof(*names->group_list));
	if (!names->hosts || !names->group_list)
		return -ENOMEM;
	for (uint32_t i = 0; i < tls->identity_count; i++)
		names_add(names, tls->identity_list[i], tls->identity_list[0]);
	host_index_compile(names->hosts);
	tls->names = names;
	return 0;
}

/* A wildcard of a certificate matches one label; a host name pattern may match several. */
static bool bucket_fits(const struct host_bucket *bucket, struct span sni)
{
	return !bucket->is_wildcard || (sni.len > bucket->name.len + 1 &&
					span_find(span_first(sni, sni.len - bucket->name.len - 1), '.') < 0);
}

static const struct certificate_group *group_find(const struct certificate_names *names, struct span sni)
{
	const struct host_bucket *bucket = NULL;

	if (sni.len && sni.data[sni.len - 1] == '.')
		sni.len--;
	if (sni.len)
		bucket = host_index_find(names->hosts, sni);
	return bucket && bucket_fits(bucket, sni) ? &names->group_list[bucket->index] : &names->first;
}

uint32_t certificate_choose(const struct listener_tls *tls, struct span sni,
			    const struct tls_identity *ret_list[CERTIFICATE_KEYS])
{
	const struct certificate_group *group;

	if (!tls->names) {
		ret_list[0] = tls->identity_count ? tls->identity_list[0] : NULL;
		return tls->identity_count ? 1 : 0;
	}
	group = group_find(tls->names, sni);
	memcpy(ret_list, group->list, group->count * sizeof(*ret_list));
	return group->count;
}
