/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/fetch_value.h"

#include "config/core/values/tls_files.h"
#include "config/core/values/url_value.h"
#include "config/snapshot.h"

static void drop(void *fetched)
{
	fetched_unref(fetched);
}

bool fetch_value_keep(struct decoder *d, struct fetched_value *value, struct fetched **place)
{
	struct fetched *fetched = fetched_create(value);

	if (!fetched && value)
		fetched_value_unref(value);
	else if (fetched && snapshot_add_destructor(d->files->snapshot, drop, fetched) == 0)
		*place = fetched;
	else
		fetched_unref(fetched);
	d->failed |= !*place;
	return *place != NULL;
}

bool fetch_value_url(struct decoder *d, const struct yaml_node *node, const struct fetch_source *source,
		     const char *risk)
{
	static const char *const names[FETCH_KINDS] = { [FETCH_KEYS] = "jwks", [FETCH_OPENAPI] = "openapi" };
	struct fetch_source *copy = decode_take(d, 1, sizeof(*copy));
	bool is_tls = span_starts(source->url, SPAN("https://"));
	struct url_target target;

	if (!is_tls && !span_starts(source->url, SPAN("http://"))) {
		config_error(d->report, node, "%s is not a URL; write one that begins with https://",
			     QUOTE(source->url));
		return false;
	}
	if (!copy ||
	    !url_decode(d, node, source->url,
			decode_text(d, "%s/%.*s", names[source->kind], SPAN_FMT(source->url)), &target) ||
	    !fetch_value_keep(d, NULL, source->place))
		return false;
	if (!is_tls)
		config_warning(d->report, node,
			       "what %s sends is not protected on its way, and who changes it %s; "
			       "write https://",
			       QUOTE(source->url), risk);
	*copy = *source;
	copy->url = decode_keep(d, source->url);
	copy->backend = target.backend;
	copy->path = target.path;
	return build_push(d, &build_of(d)->fetches, copy);
}
