// All that solves trajectories and their adjoints, without what calls it.
#pragma once
#include "adjoint.h"
#include "courses.h"
#include "steady.h"
#include "steady_adjoint.h"
#include "steady_newton.h"
