/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/gateway_class.h"

enum gateway_class {
	CLASS_UNKNOWN, /* a name without a GatewayClass */
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

/* For files of agentgateway; the objects of an API server may have that controller beside this one. */
static bool is_our_controller(const struct manifests *m, struct span name)
{
	return span_eq(name, SPAN("headgate.dev/gateway")) ||
	       (!m->builder->setting->is_cluster && span_eq(name, SPAN("agentgateway.dev/agentgateway")));
}

/* The controller that a GatewayClass names; empty: none. */
static struct span controller_of(const struct manifest_object *class)
{
	const struct yaml_node *name = class->spec && class->spec->kind == YAML_MAP
					       ? decode_get(class->spec, "controllerName")
					       : NULL;

	return name && name->kind == YAML_SCALAR ? name->text : (struct span){ 0 };
}

/*
 * The GatewayClass decides; without one, the name does in files. `unsaid`: the result without a class.
 */
static enum gateway_class class_of(struct manifests *m, const struct manifest_object *gateway,
				   enum gateway_class unsaid)
{
	struct span name = class_name(gateway), controller;
	const struct manifest_object *class;

	if (!name.len)
		return m->builder->setting->is_cluster ? CLASS_FOREIGN : unsaid;
	class = manifest_find(m, MANIFEST_GATEWAY_CLASS, (struct span){ 0 }, name);
	controller = class ? controller_of(class) : (struct span){ 0 };
	if (controller.len)
		return is_our_controller(m, controller) ? CLASS_OURS : CLASS_FOREIGN;
	if (m->builder->setting->is_cluster)
		return CLASS_FOREIGN;
	return span_eq(name, SPAN("headgate")) || span_eq(name, SPAN("agentgateway")) ? CLASS_OURS
										      : CLASS_UNKNOWN;
}

/* Their status is their controller's. */
static void find_foreign_classes(struct manifests *m)
{
	const struct pointer_list *classes = &m->objects[MANIFEST_GATEWAY_CLASS];

	for (uint32_t i = 0; i < classes->count; i++) {
		struct manifest_object *class = classes->list[i];
		struct span controller = controller_of(class);

		class->is_foreign = controller.len && !is_our_controller(m, controller);
	}
}

/*
 * Gateways of other classes belong to other programs. An unknown class of files counts as foreign only if
 * another Gateway is clearly ours: files with a single class then need no GatewayClass.
 */
void gateways_find_foreign(struct manifests *m)
{
	const struct pointer_list *gateways = &m->objects[MANIFEST_GATEWAY];
	bool has_ours = false;

	find_foreign_classes(m);
	for (uint32_t i = 0; i < gateways->count && !has_ours; i++)
		has_ours = class_of(m, gateways->list[i], CLASS_UNKNOWN) == CLASS_OURS;
	for (uint32_t i = 0; i < gateways->count; i++) {
		struct manifest_object *gateway = gateways->list[i];
		enum gateway_class class = class_of(m, gateway, CLASS_OURS);

		gateway->is_foreign = class == CLASS_FOREIGN || (class == CLASS_UNKNOWN && has_ours);
		if (gateway->is_foreign)
			config_info(m->decoder->report, decode_get(gateway->spec, "gatewayClassName"),
				    "skipped: Gateways of class %s belong to another program; those of this "
				    "one have a GatewayClass with controllerName: headgate.dev/gateway",
				    QUOTE(class_name(gateway)));
	}
}
