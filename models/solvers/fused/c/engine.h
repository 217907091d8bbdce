// All that solves trajectories and their adjoint, without what calls it.
#pragma once
#include "courses.h"
#include "scale.h"
#include "steady.h"
