/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/gatewayapi.h"

#include "config/gatewayapi/backend.h"
#include "config/gatewayapi/backend_tls.h"
#include "config/gatewayapi/credential.h"
#include "config/gatewayapi/conflict.h"
#include "config/gatewayapi/gateway.h"
#include "config/gatewayapi/gateway_class.h"
#include "config/gatewayapi/gateway_pool.h"
#include "config/gatewayapi/listener_set.h"
#include "config/gatewayapi/kept_object.h"
#include "config/gatewayapi/parameters.h"
#include "config/gatewayapi/policy.h"
#include "config/gatewayapi/route.h"
#include "config/gatewayapi/service_update.h"
#include "config/gatewayapi/status.h"
#include "config/gatewayapi/unknown_kind.h"

static void begin(struct manifests *m, struct builder *builder, struct yaml_document *const *document_list,
		  uint32_t document_count)
{
	*m = (struct manifests){ .builder = builder, .decoder = &builder->decoder };
	m->decoder->is_manifest = true;
	m->decoder->report->is_per_object = true;
	for (uint32_t i = 0; i < document_count; i++)
		manifest_add(m, document_list[i]);
}

static void done(struct manifests *m)
{
	m->decoder->report->is_per_object = false;
	m->decoder->report->drops_repeats = false;
	m->decoder->is_manifest = false;
	gateways_done(m);
	gateway_pool_done(m);
	services_done(m);
	credentials_done(m);
	strangers_done(m);
	status_done(m);
	for (unsigned kind = 0; kind < MANIFEST_KIND_COUNT; kind++)
		build_list_done(&m->objects[kind]);
	build_list_done(&m->listeners);
	name_map_done(&m->index);
	name_map_done(&m->gateways);
	name_map_done(&m->services);
	name_map_done(&m->backends);
}

void gatewayapi_decode(struct builder *builder, struct yaml_document *const *document_list,
		       uint32_t document_count)
{
	struct manifests m;

	begin(&m, builder, document_list, document_count);
	unknown_kinds_decode(&m);
	grants_check(&m);
	gateways_find_foreign(&m);
	parameters_decode(&m);
	backend_tls_policies_decode(&m);
	services_decode(&m);
	/* Before references to what they are for: a policy with an error refuses it. */
	policies_decode(&m);
	backends_decode(&m);
	gateway_pool_assign(&m);
	gateways_decode(&m);
	listener_sets_decode(&m);
	conflicts_find(&m);
	routes_decode(&m);
	gateways_bind(&m);
	status_finish(&m);
	if (!builder->is_restoring)
		kept_objects_find(&m);
	kept_objects_save(&m);
	done(&m);
}

int gatewayapi_update(struct builder *builder, struct yaml_document *const *document_list,
		      uint32_t document_count, struct snapshot *copy)
{
	struct manifests m;
	int result;

	begin(&m, builder, document_list, document_count);
	result = services_update(&m, copy);
	done(&m);
	return result;
}
