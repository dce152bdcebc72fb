// The routes of admin_metrics.cpp and what they answer with, for the tables of all routes and schemas.
#pragma once

#include "actors/admin_routes.hpp"
#include "actors/admin_schemas.hpp"

namespace pg_edge::actors {

std::span<const admin_route> admin_metrics_routes();
std::span<const admin_schema> admin_metrics_schemas();

} // namespace pg_edge::actors
