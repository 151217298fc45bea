/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Instances that could not be ended: remembered, tried again, gone. */
#include "supervisor-internal.h"

#include "connection.h"

#include <errno.h>
#include <stdio.h>

enum { ZOMBIE_GRACE = 1000000 }; /* microseconds for a plugin's threads to end after fini */

int
unit_make_grave(struct unit *unit, struct error *error)
{
	struct zombie *grave = calloc(1, sizeof(*grave));
	if (grave == NULL)
		return error_set(error, -ENOMEM, "out of memory");
	grave->next = unit->graves;
	unit->graves = grave;
	return 0;
}

void
unit_drop_grave(struct unit *unit)
{
	struct zombie *grave = STEAL(unit->graves);
	unit->graves = grave->next;
	free(grave);
}

/* No visit is left: data of connections, fini, unload. */
static int
bury(struct instance **instance, uint64_t grace, struct error *error)
{
	connection_release_instance(*instance);
	return instance_end(instance, grace, error);
}

int
unit_bury(struct supervisor *supervisor, struct unit *unit, struct instance *instance, struct error *why)
{
	if (why->code == 0 && bury(&instance, ZOMBIE_GRACE, why) == 0) {
		unit_drop_grave(unit); /* each instance came with one */
		return 0;
	}
	struct zombie *grave = STEAL(unit->graves);
	unit->graves = grave->next;
	grave->instance = instance;
	grave->number = instance_number(instance);
	snprintf(grave->reason, sizeof(grave->reason), "%s", why->text);
	pthread_mutex_lock(&supervisor->lock);
	grave->next = unit->zombies;
	unit->zombies = grave;
	pthread_mutex_unlock(&supervisor->lock);
	return why->code;
}

/* With the unit's change held. A zombie stays in the list until it is gone; those who read the list do not follow its
 * instance, which may go at any moment. */
static void
unit_bury_zombies(struct supervisor *supervisor, struct unit *unit)
{
	for (struct zombie **link = &unit->zombies; *link != NULL;) {
		struct zombie *zombie = *link;
		struct error why = {0};
		bool buried =
			plugin_visits(unit->plugin, zombie->instance) == 0 && bury(&zombie->instance, 0, &why) == 0;

		pthread_mutex_lock(&supervisor->lock);
		if (buried)
			*link = zombie->next;
		else if (why.code != 0)
			snprintf(zombie->reason, sizeof(zombie->reason), "%s", why.text);
		pthread_mutex_unlock(&supervisor->lock);
		if (buried)
			free(zombie);
		else
			link = &zombie->next;
	}
}

void
supervisor_bury(struct pool_job *job)
{
	struct supervisor *supervisor = CONTAINER_OF(job, struct supervisor, burial);
	struct unit *unit;

	for (size_t i = 0; (unit = supervisor_nth_unit(supervisor, i)) != NULL; i++) {
		if (pthread_mutex_trylock(&unit->change) != 0)
			continue;
		unit_bury_zombies(supervisor, unit);
		pthread_mutex_unlock(&unit->change);
	}
	atomic_store(&supervisor->burying, false);
}
