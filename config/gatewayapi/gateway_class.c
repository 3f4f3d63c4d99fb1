/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/gateway_class.h"

enum gateway_class {
	CLASS_UNKNOWN, /* a name without a GatewayClass in the files */
	CLASS_OURS,
	CLASS_FOREIGN,
};

static struct span class_name(const struct manifest_object *gateway)
{
	const struct yaml_node *name = gateway->spec && gateway->spec->kind == YAML_MAP
					       ? decode_get(gateway->spec, "gatewayClassName")
					       : NULL;

	return name && name->kind == YAML_SCALAR ? name->text : (struct span){ 0 };
}

/* The GatewayClass in the files decides; without one, the name does. `unsaid`: the result without a class. */
static enum gateway_class class_of(struct manifests *m, const struct manifest_object *gateway,
				   enum gateway_class unsaid)
{
	struct span name = class_name(gateway), controller;
	const struct manifest_object *class;

	if (!name.len)
		return unsaid;
	class = manifest_find(m, MANIFEST_GATEWAY_CLASS, (struct span){ 0 }, name);
	if (class && class->spec && decode_get(class->spec, "controllerName")) {
		controller = decode_get(class->spec, "controllerName")->text;
		return span_eq(controller, SPAN("headgate.dev/gateway")) ||
				       span_eq(controller, SPAN("agentgateway.dev/agentgateway"))
			       ? CLASS_OURS
			       : CLASS_FOREIGN;
	}
	return span_eq(name, SPAN("headgate")) || span_eq(name, SPAN("agentgateway")) ? CLASS_OURS
										      : CLASS_UNKNOWN;
}

/*
 * Gateways of other classes belong to other programs. An unknown class counts as foreign only if another
 * Gateway is clearly ours: files with a single class then need no GatewayClass.
 */
void gateways_find_foreign(struct manifests *m)
{
	const struct pointer_list *gateways = &m->objects[MANIFEST_GATEWAY];
	bool has_ours = false;

	for (uint32_t i = 0; i < gateways->count && !has_ours; i++)
		has_ours = class_of(m, gateways->list[i], CLASS_UNKNOWN) == CLASS_OURS;
	for (uint32_t i = 0; i < gateways->count; i++) {
		struct manifest_object *gateway = gateways->list[i];
		enum gateway_class class = class_of(m, gateway, CLASS_OURS);

		gateway->is_foreign = class == CLASS_FOREIGN || (class == CLASS_UNKNOWN && has_ours);
		if (gateway->is_foreign)
			config_info(m->decoder->report, decode_get(gateway->spec, "gatewayClassName"),
				    "skipped: Gateways of class %s belong to another program; those of this "
				    "one are of class headgate or agentgateway",
				    QUOTE(class_name(gateway)));
	}
}
