"""The bundled data set of the flagship, simulated: its tables, its truth, and the script that makes them."""
