/* What the demo's client and server share: names of spanwire.demo.v1. */
#ifndef DEMO_ZONES_H
#define DEMO_ZONES_H

#include "zones.pb-c.h"

#define ZONES "/spanwire.demo.v1.Zones/"

/* protoc-c puts the package into every name. */
typedef Spanwire__Demo__V1__Position Position;
typedef Spanwire__Demo__V1__Zone Zone;
typedef Spanwire__Demo__V1__GetZone GetZone;
typedef Spanwire__Demo__V1__NearZones NearZones;
typedef Spanwire__Demo__V1__JourneySummary JourneySummary;

#define POSITION_INIT SPANWIRE__DEMO__V1__POSITION__INIT
#define ZONE_INIT SPANWIRE__DEMO__V1__ZONE__INIT
#define GET_ZONE_INIT SPANWIRE__DEMO__V1__GET_ZONE__INIT
#define NEAR_ZONES_INIT SPANWIRE__DEMO__V1__NEAR_ZONES__INIT
#define JOURNEY_SUMMARY_INIT SPANWIRE__DEMO__V1__JOURNEY_SUMMARY__INIT

/* A proto3 optional is a oneof of one field, which is what protoc-c is given. */
#define HAS_DISTANCE SPANWIRE__DEMO__V1__ZONE__MAYBE_DISTANCE_KM_DISTANCE_KM

#endif
