/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/base/arena.h"
#include "user/base/check.h"
#include "user/base/fetched.h"

/* A REST API as tools, made from its OpenAPI document. */

enum openapi_place {
	OPENAPI_PATH,
	OPENAPI_QUERY,
	OPENAPI_HEADER,
	OPENAPI_PLACES,
};

struct openapi_parameter {
	struct span name;
	enum openapi_place place;
	bool is_repeated; /* a list in the query: n=a&n=b, otherwise n=a,b */
	bool is_required;
};

struct openapi_operation {
	struct span tool; /* its name */
	struct span description; /* JSON: the tool as an item of a list */
	struct span method; /* "GET" */
	struct span path; /* template with the prefix; each {name} is one of the parameters */
	struct openapi_parameter *parameter_list;
	uint32_t parameter_count;
	bool is_body_required;
	struct span content_type; /* of the body, which is JSON; empty: none */
};

struct openapi_api {
	struct fetched_value value; /* its id is a digest of the document and the prefix */
	struct arena arena; /* of all that follows */
	struct span title;
	struct span version;
	struct openapi_operation *operation_list; /* names are unique */
	uint32_t operation_count;
};

/* A reference to the current one, or NULL if it has not been fetched yet. */
static inline struct openapi_api *openapi_hold(struct fetched *api)
{
	struct fetched_value *value = fetched_hold(api);

	return value ? container_of(value, struct openapi_api, value) : NULL;
}

static inline void openapi_unref(struct openapi_api *api) /* NULL allowed */
{
	if (api)
		fetched_value_unref(&api->value);
}
