/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/compile/certificate_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "user/base/hash.h"

enum { DAY_S = 24 * 3600 };

/* An identity or a trust store, and its users. */
struct use {
	const void *object;
	enum certificate_use use;
	bool is_trust;
	struct span *place_list;
	uint32_t place_count;
};

struct uses {
	struct arena *arena; /* the snapshot's */
	struct hash_map *map; /* owner; key: object and use */
	struct use *list; /* in the scratch arena */
	uint32_t count;
};

/* users */

static int place_add(struct arena *arena, struct use *use, struct span place)
{
	struct span *list;

	for (uint32_t i = 0; i < use->place_count && i < CERTIFICATE_PLACES; i++)
		if (span_eq(use->place_list[i], place))
			return 0;
	if (use->place_count < 2) {
		list = arena_take(arena, (use->place_count ? CERTIFICATE_PLACES : 1) * sizeof(*list));
		if (!list)
			return -ENOMEM;
		if (use->place_count)
			list[0] = use->place_list[0];
		use->place_list = list;
	}
	if (use->place_count < CERTIFICATE_PLACES)
		use->place_list[use->place_count] = place;
	use->place_count++;
	return 0;
}

static int use_add(struct uses *uses, const void *object, bool is_trust, enum certificate_use as,
		   struct span place)
{
	struct use *use = &uses->list[uses->count], *known;
	/* No padding: `use` was zeroed, and its first members are compared as bytes. */
	struct span key = span_of(use, offsetof(struct use, is_trust));

	if (!object)
		return 0;
	use->object = object;
	use->use = as;
	use->is_trust = is_trust;
	known = hash_map_get(uses->map, key);
	if (!known) {
		known = use;
		uses->count++;
		if (hash_map_put(uses->map, key, use) < 0)
			return -ENOMEM;
	}
	return place_add(uses->arena, known, place);
}

typedef int tls_fn(struct uses *uses, const struct backend_tls *tls, const struct backend *backend);

static int refs_each(const struct backend_ref *list, uint32_t count, tls_fn *fn, struct uses *uses)
{
	int result = 0;

	for (uint32_t i = 0; i < count && result == 0; i++)
		result = fn(uses, list[i].tls, list[i].backend);
	return result;
}

static int routes_each(const struct listener *listener, tls_fn *fn, struct uses *uses)
{
	int result = 0;

	for (uint32_t r = 0; r < listener->route_count && result == 0; r++) {
		const struct route *route = &listener->route_list[r];

		result = refs_each(route->backend_list, route->backend_count, fn, uses);
		for (uint32_t i = 0; i < route->effective.mirror_count && result == 0; i++) {
			const struct backend_ref *ref = route->effective.mirror_list[i]->ref;

			result = ref ? fn(uses, ref->tls, ref->backend) : 0;
		}
	}
	for (uint32_t r = 0; r < listener->tcp_route_count && result == 0; r++)
		result = refs_each(listener->tcp_route_list[r].backend_list,
				   listener->tcp_route_list[r].backend_count, fn, uses);
	return result;
}

/* All TLS settings for backends. */
static int backends_each(const struct snapshot *snapshot, tls_fn *fn, struct uses *uses)
{
	int result = 0;

	for (uint32_t b = 0; b < snapshot->bind_count; b++)
		for (uint32_t l = 0; l < snapshot->bind_list[b].listener_count && result == 0; l++)
			result = routes_each(&snapshot->bind_list[b].listener_list[l], fn, uses);
	for (uint32_t i = 0; i < snapshot->callout_count && result == 0; i++)
		result = refs_each(snapshot->callout_list[i].ref, 1, fn, uses);
	for (uint32_t b = 0; b < snapshot->backend_count; b++) {
		const struct mcp_servers *servers = snapshot->backend_list[b].mcp;

		for (uint32_t i = 0; servers && i < servers->server_count && result == 0; i++)
			result = fn(uses, servers->server_list[i].tls, servers->server_list[i].backend);
	}
	return result;
}

static int count_tls(struct uses *uses, const struct backend_tls *tls, const struct backend *backend)
{
	(void)backend;
	uses->count += tls ? 2 : 0;
	return 0;
}

static int add_tls(struct uses *uses, const struct backend_tls *tls, const struct backend *backend)
{
	struct span name;
	int result;

	if (!tls)
		return 0;
	name = backend->name;
	result = use_add(uses, tls->settings.identity, false, CERTIFICATE_OF_CLIENT, name);
	return result ? result : use_add(uses, tls->settings.trust, true, CERTIFICATE_OF_AUTHORITY, name);
}

static int add_listener(struct uses *uses, const struct listener *listener)
{
	const struct listener_tls *tls = listener->tls;
	int result = 0;

	for (uint32_t i = 0; tls && i < tls->identity_count && result == 0; i++)
		result = use_add(uses, tls->identity_list[i], false, CERTIFICATE_OF_LISTENER, listener->key);
	if (tls && result == 0)
		result = use_add(uses, tls->settings.client_trust, true, CERTIFICATE_OF_AUTHORITY,
				 listener->key);
	return result;
}

static int uses_fill(struct snapshot *snapshot, struct arena *scratch, struct uses *uses)
{
	int result = 0;

	for (uint32_t b = 0; b < snapshot->bind_count; b++)
		for (uint32_t l = 0; l < snapshot->bind_list[b].listener_count; l++) {
			const struct listener *listener = &snapshot->bind_list[b].listener_list[l];

			uses->count += listener->tls ? listener->tls->identity_count + 1 : 0;
		}
	backends_each(snapshot, count_tls, uses);
	if (!uses->count)
		return 0;
	uses->list = arena_take(scratch, ((size_t)uses->count + 1) * sizeof(*uses->list));
	uses->map = hash_map_create(uses->count);
	uses->count = 0;
	if (!uses->list || !uses->map)
		return -ENOMEM;
	for (uint32_t b = 0; b < snapshot->bind_count; b++)
		for (uint32_t l = 0; l < snapshot->bind_list[b].listener_count && result == 0; l++)
			result = add_listener(uses, &snapshot->bind_list[b].listener_list[l]);
	return result ? result : backends_each(snapshot, add_tls, uses);
}

/* ---- certificates */

static uint32_t certificates_of(const struct use *use, const struct tls_certificate **ret_list)
{
	const struct tls_identity *identity = use->object;
	const struct tls_trust *trust = use->object;

	*ret_list = use->is_trust ? trust->certificate_list : &identity->certificate;
	return use->is_trust ? trust->certificate_count : 1;
}

/* By expiry, then by fingerprint. */
static int entry_compare(const void *left, const void *right)
{
	const struct tls_certificate *a = ((const struct certificate_entry *)left)->certificate;
	const struct tls_certificate *b = ((const struct certificate_entry *)right)->certificate;

	if (a->not_after_s != b->not_after_s)
		return a->not_after_s < b->not_after_s ? -1 : 1;
	return span_compare(a->fingerprint, b->fingerprint);
}

/* Several files may contain the same certificate: only the places of the first one are kept. */
static int entries_fill(struct snapshot *snapshot, const struct uses *uses, uint32_t total)
{
	struct hash_map *maps[CERTIFICATE_OF_AUTHORITY + 1] = { NULL };
	struct certificate_entry *list = arena_take(snapshot->arena, total * sizeof(*list));
	const struct tls_certificate *certificates;
	bool has_memory = list != NULL;
	uint32_t count = 0;

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		maps[i] = hash_map_create(total);
		has_memory &= maps[i] != NULL;
	}
	for (uint32_t u = 0; has_memory && u < uses->count; u++) {
		const struct use *use = &uses->list[u];
		uint32_t own = certificates_of(use, &certificates);

		for (uint32_t i = 0; i < own; i++) {
			struct certificate_entry *known =
				hash_map_get(maps[use->use], certificates[i].fingerprint);

			if (known) {
				known->place_count += use->place_count;
				continue;
			}
			list[count] = (struct certificate_entry){ &certificates[i], use->use, use->place_list,
								  use->place_count };
			hash_map_put(maps[use->use], certificates[i].fingerprint, &list[count++]);
		}
	}
	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++)
		hash_map_free(maps[i]);
	if (!has_memory)
		return -ENOMEM;
	qsort(list, count, sizeof(*list), entry_compare);
	snapshot->certificate_list = list;
	snapshot->certificate_count = count;
	return 0;
}

int certificate_list_build(struct snapshot *snapshot)
{
	struct uses uses = { .arena = snapshot->arena };
	const struct tls_certificate *certificates;
	struct arena scratch;
	uint32_t total = 0;
	int result;

	arena_init(&scratch, 4096);
	result = uses_fill(snapshot, &scratch, &uses);
	for (uint32_t i = 0; result == 0 && i < uses.count; i++)
		total += certificates_of(&uses.list[i], &certificates);
	if (result == 0 && total)
		result = entries_fill(snapshot, &uses, total);
	hash_map_free(uses.map);
	arena_done(&scratch);
	return result;
}

/* ---- warnings */

int64_t certificate_days_left(const struct tls_certificate *certificate, int64_t now_s)
{
	int64_t left_s = certificate->not_after_s - now_s;

	return left_s >= 0 ? left_s / DAY_S : -((-left_s + DAY_S - 1) / DAY_S);
}

static void place_text(const struct certificate_entry *entry, struct text *out)
{
	static const char *const uses[] = { "of listener", "shown to backend", "that verifies for" };

	text_fmt(out, "%s ", uses[entry->use]);
	text_escaped(out, entry->place_count ? entry->place_list[0] : SPAN("-"));
	if (entry->place_count > 1)
		text_fmt(out, " and %u more", entry->place_count - 1);
}

static bool entry_sentence(const struct certificate_entry *entry, int64_t now_s, struct text *out)
{
	const struct tls_certificate *certificate = entry->certificate;
	int64_t days = certificate_days_left(certificate, now_s);

	if (certificate->not_before_s <= now_s && days >= CERTIFICATE_SOON_DAYS)
		return false;
	text_str(out, "certificate ");
	text_escaped(out, certificate->name_count ? certificate->name_list[0] : certificate->subject);
	text_char(out, ' ');
	place_text(entry, out);
	if (certificate->not_before_s > now_s)
		text_str(out, " is not valid yet: peers will refuse it; look at the clock of this host");
	else if (certificate->not_after_s < now_s)
		text_str(out, " has expired: peers refuse it; replace it now");
	else
		text_fmt(out, " expires in %lld days; %s", (long long)days,
			 days < CERTIFICATE_URGENT_DAYS ? "replace it now" : "replace it soon");
	return true;
}

void certificate_warn(const struct snapshot *snapshot, int64_t now_s,
		      void (*say)(void *context, const char *sentence), void *context)
{
	uint32_t count = 0;
	char more[64];

	for (uint32_t i = 0; i < snapshot->certificate_count; i++) {
		struct text line;

		text_init(&line);
		if (entry_sentence(&snapshot->certificate_list[i], now_s, &line) &&
		    ++count <= CERTIFICATE_WARNINGS && text_error(&line) == 0)
			say(context, line.data);
		text_done(&line);
	}
	if (count <= CERTIFICATE_WARNINGS)
		return;
	snprintf(more, sizeof(more), "%u more certificates expire soon: GET /certificates",
		 count - CERTIFICATE_WARNINGS);
	say(context, more);
}
