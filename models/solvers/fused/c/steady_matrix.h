// The reduced system of a steady state: in it the totals of conserved moieties stand for dependent species, and a species that
// nothing changes keeps its start.
//
//   G(y; y0, p) = [ f_i(y, p) ;  L (w(p) o (y - y0)) ] = 0,    dy = -G_y^-1 (G_y0 dy0 + G_p dp)
#pragma once
#include "contract.h"
#include "precision.h"

// Solves a x = b by Gaussian elimination with partial pivoting, in place; false if a pivot is not above `least` times the
// largest entry of its column.
STATIC bool solve_dense(double* a, double* b, double least)
{
  double smallest[SPECIES];
  ROLLED for (int k = 0; k < SPECIES; k++) {
    double most = 0.0;
    ROLLED for (int i = 0; i < SPECIES; i++) most = ::fabs(a[i * SPECIES + k]) > most ? ::fabs(a[i * SPECIES + k]) : most;
    smallest[k] = least * most;
  }
  ROLLED for (int k = 0; k < SPECIES; k++) {
    int pivot = k;
    ROLLED for (int i = k + 1; i < SPECIES; i++)
      if (::fabs(a[i * SPECIES + k]) > ::fabs(a[pivot * SPECIES + k])) pivot = i;
    if (!(::fabs(a[pivot * SPECIES + k]) > smallest[k])) return false;
    if (pivot != k) {
      ROLLED for (int j = k; j < SPECIES; j++) {
        const double x = a[k * SPECIES + j];
        a[k * SPECIES + j] = a[pivot * SPECIES + j];
        a[pivot * SPECIES + j] = x;
      }
      const double x = b[k];
      b[k] = b[pivot];
      b[pivot] = x;
    }
    const double inverse = 1.0 / a[k * SPECIES + k];
    ROLLED for (int i = k + 1; i < SPECIES; i++) {
      const double factor = a[i * SPECIES + k] * inverse;
      if (factor == 0.0) continue;
      ROLLED for (int j = k + 1; j < SPECIES; j++) a[i * SPECIES + j] -= factor * a[k * SPECIES + j];
      b[i] -= factor * b[k];
    }
  }
  ROLLED for (int k = SPECIES - 1; k >= 0; k--) {
    ROLLED for (int j = k + 1; j < SPECIES; j++) b[k] -= a[k * SPECIES + j] * b[j];
    b[k] /= a[k * SPECIES + k];
  }
  return true;
}

// The matrix G_y of one lane, or its transpose, from the entries of the Jacobian; and which species are constant: nothing
// changes them.
STATIC void reduced_matrix(const exact* j, const exact* weight, int lane, bool transposed, double* a, bool* constant)
{
  ROLLED for (int i = 0; i < SPECIES * SPECIES; i++) a[i] = 0.0;
  ROLLED for (int i = 0; i < SPECIES; i++) constant[i] = true;
  ROLLED for (int e = 0; e < ENTRIES_USED; e++) {
    const int r = row_of(e), c = column_of(e);
    const double x = AT(j[e], lane);
    if (x != 0.0) constant[r] = false;
    a[transposed ? c * SPECIES + r : r * SPECIES + c] = x;
  }
  ROLLED for (int i = 0; i < SPECIES; i++)
    if (constant[i]) a[i * SPECIES + i] = 1.0;
  ROLLED for (int m = 0; m < MOIETIES; m++)
    ROLLED for (int c = 0; c < SPECIES; c++) a[transposed ? c * SPECIES + dependent(m) : dependent(m) * SPECIES + c] = 0.0;
  ROLLED for (int k = 0; k < COUNTED; k++) {
    const int r = dependent(sum_row(k)), c = sum_column(k);
    a[transposed ? c * SPECIES + r : r * SPECIES + c] = sum_number(k) * AT(weight[k], lane);
  }
}

// For a G_y that is singular: some rows of f are combinations of others, since their species are lost only in complexes with a
// partner that is absent. Each combination l is one more conserved sum, l (y - y0) = 0, and takes the place of the row;
// `conserved` says which. Elimination with complete pivoting over what is not constant, each species in units of its own size:
// so entries are rates, and one too slow to matter within HORIZON counts as 0. Multipliers stay where they make zeros.
STATIC void add_conserved_sums(double* a, const bool* constant, const exact* y, const double* atol, int lane, bool* conserved)
{
  double r[SPECIES * SPECIES], size[SPECIES], w[SPECIES];
  int rows[SPECIES], columns[SPECIES], count = 0, width = 0, rank = 0;
  ROLLED for (int i = 0; i < SPECIES; i++) {
    conserved[i] = constant[i];
    size[i] = atol[i] + ::fabs(AT(y[i], lane));
  }
  ROLLED for (int m = 0; m < MOIETIES; m++) conserved[dependent(m)] = true;
  ROLLED for (int i = 0; i < SPECIES; i++) {
    if (!conserved[i]) rows[count++] = columns[width++] = i;
    conserved[i] = false;
  }
  ROLLED for (int i = 0; i < count; i++)
    ROLLED for (int c = 0; c < width; c++) {
      const int at = rows[i] * SPECIES + columns[c];
      r[at] = a[at];
      ROLLED for (int m = 0; m < MOIETIES; m++) {  // a dependent species follows from the others of its sum
        const int d = dependent(m);
        if (!constant[d] && a[d * SPECIES + d] != 0.0)
          r[at] -= a[rows[i] * SPECIES + d] * a[d * SPECIES + columns[c]] / a[d * SPECIES + d];
      }
      r[at] *= size[columns[c]] / size[rows[i]];
    }
  ROLLED for (; rank < count; rank++) {
    int row = -1, column = -1;
    double most = SINGULAR;
    ROLLED for (int i = rank; i < count; i++)
      ROLLED for (int c = rank; c < width; c++)
        if (::fabs(r[rows[i] * SPECIES + columns[c]]) > most) {
          most = ::fabs(r[rows[i] * SPECIES + columns[c]]);
          row = i, column = c;
        }
    if (row < 0) break;
    const int first = rows[row], here = columns[column];
    rows[row] = rows[rank], rows[rank] = first;
    columns[column] = columns[rank], columns[rank] = here;
    ROLLED for (int i = rank + 1; i < count; i++) {
      double* x = r + rows[i] * SPECIES;
      x[here] /= r[first * SPECIES + here];
      ROLLED for (int c = rank + 1; c < width; c++) x[columns[c]] -= x[here] * r[first * SPECIES + columns[c]];
    }
  }
  ROLLED for (int i = rank; i < count; i++) {
    double *l = a + rows[i] * SPECIES, most = 1.0 / size[rows[i]];
    ROLLED for (int c = 0; c < SPECIES; c++) l[c] = 0.0;
    l[rows[i]] = most;
    ROLLED for (int k = 0; k < rank; k++) w[k] = -r[rows[i] * SPECIES + columns[k]];
    ROLLED for (int k = rank - 1; k >= 0; k--) {
      ROLLED for (int c = 0; c < k; c++) w[c] -= w[k] * r[rows[k] * SPECIES + columns[c]];
      l[rows[k]] = w[k] / size[rows[k]];
      most = ::fabs(l[rows[k]]) > most ? ::fabs(l[rows[k]]) : most;
    }
    ROLLED for (int c = 0; c < SPECIES; c++) l[c] /= most;
    conserved[rows[i]] = true;
  }
}

STATIC void transpose(double* a)
{
  ROLLED for (int i = 0; i < SPECIES; i++)
    ROLLED for (int c = 0; c < i; c++) {
      const double x = a[i * SPECIES + c];
      a[i * SPECIES + c] = a[c * SPECIES + i];
      a[c * SPECIES + i] = x;
    }
}

// Adds the cotangents of the start by the sums that `add_conserved_sums` found.
STATIC void pull_conserved_sums(const double* a, const bool* conserved, int lane, const double* x, exact* start_bar)
{
  ROLLED for (int n = 0; n < SPECIES; n++)
    if (conserved[n])
      ROLLED for (int c = 0; c < SPECIES; c++) AT(start_bar[c], lane) += a[n * SPECIES + c] * x[n];
}
