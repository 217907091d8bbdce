// A plan as two flat arrays, laid out by engine.py.

STATIC void read_plan(const int* i, const double* x, Plan& plan)
{
  plan.protocols = i[0];
  plan.segments = i[1];
  plan.times = i[2];
  plan.equilibrations = i[3];
  plan.slots = i[4];
  plan.max_steps = i[5];
  plan.follows = i[6];
  i += 7;
  const int64 courses = (int64)plan.protocols * plan.segments;
  plan.rest_parameters = i; i += (int64)plan.equilibrations * PARAMETERS;
  plan.rest_set = i; i += (int64)plan.equilibrations * SPECIES;
  plan.rest_of = i; i += plan.protocols;
  plan.parameters = i; i += courses * PARAMETERS;
  plan.assign = i; i += courses * SPECIES;
  plan.add = i; i += courses * SPECIES;
  plan.scale = i; i += courses * SPECIES;
  plan.segment = i;
  plan.longest = *x++;
  plan.rest_moment = x; x += plan.equilibrations;
  plan.start = x; x += courses;
  plan.stop = x; x += courses;
  plan.at = x;
}
